package fallback

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/sparekey/sparekey/policy"
)

// A tag is one item of the list that Nyckel's functions of the type Tags answer
// with, without the id, which only the service knows.
type tag struct {
	LabelName  string  `json:"labelName"`
	Confidence float64 `json:"confidence"`
}

// collect joins the answers of all rules that match.
func (f *Fallback) collect(in *input, e *evaluation) (answer policy.Answer, names string, ok bool) {
	var matched []string
	var tags []tag
	for i := range f.rules {
		r := &f.rules[i]
		if !r.matches(e) {
			continue
		}
		if a, ok := r.reply(in); ok {
			matched = append(matched, r.name)
			tags = withTag(tags, tag{a.Label, a.Confidence})
		}
	}
	if len(tags) == 0 {
		return policy.Answer{}, "", false
	}
	return policy.Answer{
		Label:      tags[0].LabelName,
		Confidence: tags[0].Confidence,
		Document:   listOf(tags),
	}, strings.Join(matched, "+"), true
}

// withTag adds t to tags. Of two with the same label the surer one stays.
func withTag(tags []tag, t tag) []tag {
	same := func(other tag) bool { return other.LabelName == t.LabelName }
	if i := slices.IndexFunc(tags, same); i >= 0 {
		tags[i].Confidence = max(tags[i].Confidence, t.Confidence)
		return tags
	}
	return append(tags, t)
}

// tagsOf returns the list with one answer.
func tagsOf(a policy.Answer) json.RawMessage { return listOf([]tag{{a.Label, a.Confidence}}) }

func listOf(tags []tag) json.RawMessage {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(tags) // texts and numbers from 0 to 1 can always be written
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
