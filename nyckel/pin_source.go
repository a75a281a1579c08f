package nyckel

import "cmp"

// Pins says which models answer, and may say something else from one call to the
// next: so a pin can change while the client is in use. Package
// [github.com/sparekey/sparekey/nyckel/pin] has one that is kept in a file.
type Pins interface {
	// Pin returns the model that is pinned for the function of that name; "" means
	// the newest. False means that nothing is said of the function, and
	// [Function.Model] holds. It is called once per call, must not wait, and must
	// be safe for concurrent use.
	Pin(function string) (model string, ok bool)
}

// WithPins asks pins before each call which model is to answer. What it says goes
// before [Function.Model]; a [ModelID] of the call goes before both.
func WithPins(pins Pins) Option {
	return clientOption(func(o *clientOptions) { o.pins = pins })
}

// NewestModel makes the newest model answer a call, whatever is pinned. Given to [New]
// it lifts no pin, but takes back a [ModelID] before it.
func NewestModel() InvokeOption {
	return callOption(func(o *callOptions) { o.model = "" })
}

// modelOf returns the model that is to answer the calls of f that do not say.
func (c *Client) modelOf(f *function) string {
	if c.pins != nil {
		if model, ok := c.pins.Pin(f.name); ok {
			return model
		}
	}
	own := f.Model
	if f.model != nil {
		own = f.model()
	}
	return cmp.Or(own, c.defaults.model)
}
