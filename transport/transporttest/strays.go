package transporttest

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// bubbleName finds the name of a bubble in the heading of a goroutine's trace:
//
//	goroutine 8 [select (durable), synctest bubble 5]:
var bubbleName = regexp.MustCompile(`^goroutine \d+ \[.*(synctest bubble \d+)`)

// currentBubble returns the name of the bubble that it is called in.
func currentBubble() string {
	buf := make([]byte, 512)
	heading := bubbleName.FindSubmatch(buf[:runtime.Stack(buf, false)])
	if heading == nil {
		return ""
	}
	return string(heading[1])
}

// goroutines says what the goroutines of a bubble were started by, for whoever
// has to find them, and where the one of the check itself is. The form of a trace is
// nobody's promise: if it cannot be read, it says so.
func goroutines(bubble string) (started, check string) {
	var starts []string
	for trace := range strings.SplitSeq(traces(), "\n\n") {
		heading := bubbleName.FindStringSubmatch(trace)
		if heading == nil || heading[1] != bubble {
			continue
		}
		_, start, _ := strings.Cut(trace, "created by ")
		start, _, ok := strings.Cut(start, " in goroutine ")
		switch {
		case strings.Contains(trace, "testing.tRunner("):
			_, check, _ = strings.Cut(strings.TrimSpace(trace), "\n")
		case strings.HasPrefix(start, "testing"): // the bubble itself
		case ok && !slices.Contains(starts, start):
			starts = append(starts, start)
		}
	}
	const unknown = "where cannot be told"
	if check != "" && starts == nil {
		return "nobody", check
	}
	return cmp.Or(strings.Join(starts, ", "), unknown), cmp.Or(check, unknown)
}

// panickedAt returns the trace of a panic, from where it began to where the suite called,
// for the deferred func that recovers it. It has no addresses, so that the same panic is
// the same text.
func panickedAt() string {
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(0, callers)])
	own := reflect.TypeFor[probe]().PkgPath() + "."
	var lines []string
	for more, ours := true, false; more; {
		var f runtime.Frame
		f, more = frames.Next()
		switch {
		case f.Function == "runtime.gopanic": // what is above handles the panic
			lines, ours = nil, false
		case !ours && !strings.HasPrefix(f.Function, "runtime."):
			lines = append(lines, fmt.Sprintf("%s\n\t%s:%d", f.Function, f.File, f.Line))
			ours = strings.HasPrefix(f.Function, own)
		}
	}
	return strings.Join(lines, "\n")
}

// traces returns the traces of all goroutines, unless there are very many.
func traces() string {
	const enough = 64 << 20
	for size := 256 << 10; ; size *= 2 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size || size >= enough {
			return string(buf[:n])
		}
	}
}
