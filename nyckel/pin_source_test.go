package nyckel_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/policy"
)

// pins is a source of pins that a test can change.
type pins struct{ sync.Map }

func (p *pins) Pin(function string) (string, bool) {
	model, ok := p.Load(function)
	if !ok {
		return "", false
	}
	return model.(string), true
}

func TestWithPinsChangesWithoutRestart(t *testing.T) {
	const function, call = "function", "call"
	tests := []struct {
		name    string
		pin     any // nil if the source says nothing
		options []nyckel.InvokeOption
		want    string
	}{
		{"the source says nothing", nil, nil, function},
		{"it names a model", "first", nil, "first"},
		{"it names another", "second", nil, "second"},
		{"it says the newest", "", nil, ""},
		{"the call says otherwise", "second", []nyckel.InvokeOption{nyckel.ModelID(call)}, call},
		{"the call wants the newest", "second", []nyckel.InvokeOption{nyckel.NewestModel()}, ""},
	}
	s, source := newService(), &pins{}
	client := s.client(t, once, nyckel.WithPins(source), nyckel.ModelID("client"),
		nyckel.WithFunction("pinned", nyckel.Function{ID: "function_2", Model: function}))
	for i, tt := range tests {
		source.Clear()
		if tt.pin != nil {
			source.Store("pinned", tt.pin)
		}
		p, err := client.Invoke(t.Context(), "pinned", nyckel.Text("hello"), tt.options...)
		require.NoError(t, err, tt.name)
		require.Equal(t, tt.want, p.Model, tt.name)
		want := "https://api.test/v1/functions/function_2/invoke"
		if tt.want != "" {
			want += "?modelId=" + tt.want
		}
		require.Equal(t, want, s.calls.Requests()[i].URL, tt.name)
	}
	p, err := client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
	require.NoError(t, err)
	require.Equal(t, "client", p.Model, "another function keeps its own")
}

// A client's wish for the newest is for functions without a pin.
func TestNewestModelOfTheClientLiftsNoPin(t *testing.T) {
	client := newService().client(t, once, nyckel.ModelID("client"), nyckel.NewestModel(),
		nyckel.WithFunction("pinned", nyckel.Function{ID: "function_2", Model: "function"}))
	for function, want := range map[string]string{"pinned": "function", "tickets": ""} {
		p, err := client.Invoke(t.Context(), function, nyckel.Text("hello"))
		require.NoError(t, err)
		require.Equal(t, want, p.Model, function)
	}
}

func TestInvokeKeepsTheCallersPriority(t *testing.T) {
	got := make(chan int, 1)
	s := newService(func(req *http.Request) (*http.Response, error) {
		got <- policy.CallOf(req.Context()).Priority
		return predict("spam", 0.75)(req)
	})
	ctx := policy.WithCall(t.Context(), policy.Call{Priority: -3})
	_, err := s.client(t, once).Invoke(ctx, "tickets", nyckel.Text("hello"))
	require.NoError(t, err)
	require.Equal(t, -3, <-got)
}
