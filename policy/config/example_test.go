package config_test

import (
	"errors"
	"fmt"

	"github.com/sparekey/sparekey/policy/config"
)

// What is wrong with a setting is reported beside what is wrong with the file,
// each at its place.
func ExampleDecode() {
	var settings struct {
		MaxCalls int
		Backoff  string
	}
	source := config.Decode("calls.yaml", []byte("max_calls: -1\nbackof: fast\n"), &settings)
	errs := source.Errors()
	if settings.MaxCalls < 0 {
		errs = append(errs, source.Error("MaxCalls", errors.New("max_calls is below 0")))
	}
	fmt.Println(config.Join(errs...))
	// Output:
	// calls.yaml:1:12: max_calls is below 0
	// calls.yaml:2:1: has the unknown key "backof"; did you mean backoff?
}
