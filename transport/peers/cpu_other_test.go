//go:build !unix

package peers_test

import "time"

// start stands in for the processor time, which is not to be had here.
var start = time.Now()

func cpuTime() time.Duration { return time.Since(start) }
