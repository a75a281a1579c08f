package nyckel

import "fmt"

// OptionsKey returns a text that is the same only for options that come to the same
// in a call of c. It is for who merges calls. It may hold an external id, and is not
// for display.
func (c *Client) OptionsKey(options ...InvokeOption) string {
	if len(options) == 0 {
		return ""
	}
	o := c.defaults
	o.model = "\x00" // stands for the pin, whatever that is now
	for _, option := range options {
		option.applyToCall(&o)
	}
	return fmt.Sprintf("%#v", o)
}
