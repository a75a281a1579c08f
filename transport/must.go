package transport

import "strings"

// must panics for settings that a programmer got wrong.
func must(err error) {
	if err != nil {
		panic("transport: " + strings.TrimPrefix(err.Error(), "transport: "))
	}
}
