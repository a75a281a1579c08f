package policy_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

func TestSecretIsNotShown(t *testing.T) {
	secret := policy.NewSecret("hunter2")
	assert.Equal(t, "hunter2", secret.Reveal())
	deep := struct {
		inner struct{ s *struct{ policy.Secret } }
	}{}
	deep.inner.s = &struct{ policy.Secret }{secret}
	for _, v := range []any{secret, &secret, deep, *deep.inner.s, []policy.Secret{secret}, map[string]policy.Secret{"a": secret}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			assert.NotContains(t, fmt.Sprintf(verb, v), "hunter2", "%s of %T", verb, v)
			assert.NotContains(t, fmt.Sprintf(verb, v), fmt.Sprintf("%x", "hunter2"), "%s of %T", verb, v)
		}
		data, err := json.Marshal(v)
		require.NoError(t, err)
		assert.NotContains(t, string(data), "hunter2", "%T", v)
	}
	assert.Equal(t, "[secret]", secret.LogValue().String())
	assert.Empty(t, policy.Secret{}.String())
	assert.Empty(t, policy.Secret{}.Reveal())

	var read policy.Secret
	require.NoError(t, read.UnmarshalText([]byte("x")))
	assert.Equal(t, "x", read.Reveal())
}
