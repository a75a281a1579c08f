package nyckel_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
)

func TestOptionsKeyTellsCallsApart(t *testing.T) {
	client := newService().client(t, once, nyckel.LabelCount(3), nyckel.ModelID("client"))
	list := func(options ...nyckel.InvokeOption) []nyckel.InvokeOption { return options }
	different := [][]nyckel.InvokeOption{
		nil,
		list(nyckel.NewestModel()),
		list(nyckel.ModelID("a")),
		list(nyckel.LabelCount(0)),
		list(nyckel.Capture(false)),
		list(nyckel.LabelMetadata()),
		list(nyckel.ExternalID("a")),
		list(nyckel.ExternalID("b")),
		list(nyckel.Strict()),
		list(nyckel.Without("rules")),
		list(nyckel.Without("static")),
	}
	seen := map[string]int{}
	for i, options := range different {
		key := client.OptionsKey(options...)
		require.NotContains(t, seen, key, "options %d", i)
		seen[key] = i
	}
	require.Equal(t, client.OptionsKey(nyckel.ModelID("a"), nyckel.Capture(false)),
		client.OptionsKey(nyckel.Capture(false), nyckel.ModelID("b"), nyckel.ModelID("a")), "order does not matter")
	require.Equal(t, client.OptionsKey(nyckel.ModelID("")), client.OptionsKey(nyckel.LabelCount(3)), "neither changes anything")
}
