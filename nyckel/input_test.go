package nyckel_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/nyckel"
)

// What makes no sense is refused before anything is sent, and is no *Error.
func TestInvokeRefusesNonsense(t *testing.T) {
	tests := []struct {
		name     string
		function string
		input    nyckel.Input
		option   nyckel.InvokeOption
		want     string
	}{
		{"unknown function", "invoices", nyckel.Text("hello"), nil, `nyckel: no function "invoices" is configured; there are: other, tickets`},
		{"nil input", "tickets", nil, nil, "nyckel: the input is nil"},
		{"empty text", "tickets", nyckel.Text(""), nil, "nyckel: the text is empty"},
		{"text that is not UTF-8", "tickets", nyckel.Text("caf\xe9"), nil, "nyckel: the text is not valid UTF-8"},
		{"negative label count", "tickets", nyckel.Text("hello"), nyckel.LabelCount(-1), "nyckel: LabelCount is -1, want at least 0"},
		{"external id that is not UTF-8", "tickets", nyckel.Text("hello"), nyckel.ExternalID("\xff"), "nyckel: ExternalID is not valid UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newService()
			client := s.client(t, once, nyckel.WithFunction("other", nyckel.Function{ID: "function_2"}))
			var options []nyckel.InvokeOption
			if tt.option != nil {
				options = append(options, tt.option)
			}
			prediction, err := client.Invoke(t.Context(), tt.function, tt.input, options...)
			assert.Nil(t, prediction)
			assert.EqualError(t, err, tt.want)
			var failure *nyckel.Error
			assert.NotErrorAs(t, err, &failure)
			assert.Zero(t, s.tokens.Calls()+s.calls.Calls(), "requests")
		})
	}
}
