package cache

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestReadQuery: of what a server may read in several ways, the one that asks for a
// live answer counts.
func TestReadQuery(t *testing.T) {
	tests := []struct {
		raw  string
		want queryFacts
	}{
		{"", queryFacts{}},
		{"externalId=", queryFacts{}},
		{"externalId=a", queryFacts{ownRecord: true}},
		{"EXTERNALID=&externalid=a", queryFacts{ownRecord: true}},
		{"externalId=a&externalId=", queryFacts{ownRecord: true}},
		{"external%49d=a", queryFacts{ownRecord: true}},
		{"externalId=a;b", queryFacts{ownRecord: true}},
		{"a=1;externalId=b", queryFacts{ownRecord: true}},
		{"externalId=%zz", queryFacts{ownRecord: true}},
		{"modelId=m", queryFacts{pinned: true}},
		{"modelId=", queryFacts{}},
		{"modelId=m&ModelId=", queryFacts{}},
		{"ModelId=&modelId=m", queryFacts{}},
		{"modelId=m&modelId=n", queryFacts{pinned: true}},
		{"modelId=m;x", queryFacts{}},
		{"capture=false", queryFacts{uncaptured: true}},
		{"Capture=F%61lse", queryFacts{uncaptured: true}},
		{"capture=false&Capture=true", queryFacts{}},
		{"Capture=true&capture=false", queryFacts{}},
		{"capture=false&capture=", queryFacts{}},
		{"capture=false;x", queryFacts{}},
		{"capture", queryFacts{}},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, readQuery(tt.raw), tt.raw)
	}
}
