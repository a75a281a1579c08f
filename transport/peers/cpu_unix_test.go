//go:build unix

package peers_test

import (
	"syscall"
	"time"
)

// cpuTime returns the processor time that this process has used, garbage
// collection included, in the program and in the kernel. Unlike the wall clock it
// does not count what neighbors on the machine take.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
