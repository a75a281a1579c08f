package transport

// must panics for settings that a programmer got wrong.
func must(err error) {
	if err != nil {
		panic("transport: " + err.Error())
	}
}
