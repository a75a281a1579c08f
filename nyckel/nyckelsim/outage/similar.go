package outage

import (
	"fmt"

	"github.com/sparekey/sparekey/cache"
)

// similarity is what the stack found out about answers to similar questions.
type similarity struct {
	Questions  int     `json:"questions"`
	Compared   int     `json:"compared"`
	Serving    bool    `json:"serving"`
	Threshold  float64 `json:"threshold,omitempty"`
	Accuracy   float64 `json:"accuracy,omitempty"`
	LowerBound float64 `json:"lower_bound,omitempty"`
	Samples    int     `json:"samples,omitempty"`
}

// similarityOf takes what is known about the only function that is asked.
func similarityOf(stats []cache.SimilarStats) similarity {
	if len(stats) == 0 {
		return similarity{}
	}
	s := stats[0]
	return similarity{s.Questions, s.Compared, s.Serving, s.Threshold, s.Accuracy, s.LowerBound, s.Samples}
}

// String says from which likeness on similar answers are given, or why they are
// not.
func (s similarity) String() string {
	if !s.Serving {
		return fmt.Sprintf("similar answers are refused: after comparing %d live answers with those to %d earlier questions, it is not shown that nine in ten would be right",
			s.Compared, s.Questions)
	}
	return fmt.Sprintf("similar answers are given from a likeness of %.2f on: in %d of %d comparisons there would have been one, and %.1f %% of them right (surely %.1f %%)",
		s.Threshold, s.Samples, s.Compared, 100*s.Accuracy, 100*s.LowerBound)
}
