package outage

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/cache"
)

func TestSimilarity(t *testing.T) {
	assert.Zero(t, similarityOf(nil))
	refused := similarityOf([]cache.SimilarStats{{Function: "x", Questions: 30, Compared: 40}, {Compared: 1}})
	assert.Equal(t, "similar answers are refused: after comparing 40 live answers with those to 30 earlier questions, it is not shown that nine in ten would be right",
		refused.String())
	given := similarityOf([]cache.SimilarStats{{
		Questions: 300, Compared: 400, Serving: true, Threshold: 0.55, Accuracy: 0.98, LowerBound: 0.945, Samples: 200, Coverage: 0.5,
	}})
	assert.Equal(t, "similar answers are given from a likeness of 0.55 on: in 200 of 400 comparisons there would have been one, and 98.0 % of them right (surely 94.5 %)",
		given.String())
}
