package fallback

import (
	"context"
	"slices"

	"github.com/sparekey/sparekey/policy"
)

// labels are those of an answer: sorted, each once. Most answers have one, lists any
// number.
type labels []string

// labels reads the labels of a document. A codec that panics does so in the hands
// of who reads a live answer, and must not break it.
func (l *Ladder) labels(ctx context.Context, document []byte) (all labels, ok bool) {
	defer func() {
		if value := recover(); value != nil {
			l.panicked(ctx, "codec", value, true)
		}
	}()
	if all, ok = labelsOf(l.cfg.Codec, document); !ok || slices.Contains(all, "") {
		return nil, false
	}
	all = slices.Clone(all) // what a codec returns may be its own
	slices.Sort(all)
	return slices.Compact(all), true
}

// labelsOf returns the label of a document, or those of a list if codec reads such.
func labelsOf(codec policy.Codec, document []byte) (all []string, ok bool) {
	if label, _, ok := codec.Label(document); ok && label != "" {
		return []string{label}, true
	}
	if list, is := codec.(policy.ListCodec); is {
		return list.Labels(document)
	}
	return nil, false
}

// agrees reports whether the rung's answer has the labels of the live one.
func (r shadowAnswer) agrees(live labels) bool { return r.labelled && slices.Equal(r.labels, live) }

// has reports whether the rung's answer has a label.
func (r shadowAnswer) has(label string) bool {
	_, found := slices.BinarySearch(r.labels, label)
	return found
}

// overlap returns the share that the labels in both answers have of those in either,
// 0 to 1, which is Jaccard's index; 0 if there are none at all.
func (r shadowAnswer) overlap(live labels) float64 {
	both := 0
	for _, label := range live {
		if r.has(label) {
			both++
		}
	}
	return ratio(both, len(r.labels)+len(live)-both)
}
