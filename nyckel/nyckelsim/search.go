package nyckelsim

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"time"
)

// defaultNeighbours is how many samples a search finds unless asked for more.
const defaultNeighbours = 10

// A neighbourJSON is one sample that a search has found.
type neighbourJSON struct {
	SampleID   string  `json:"sampleId"`
	Distance   float64 `json:"distance"`
	ExternalID string  `json:"externalId,omitempty"`
	Data       any     `json:"data,omitempty"`
}

// foundJSON is the answer to a search in two of three variants; the third has
// the bare array.
type foundJSON struct {
	SearchSamples []neighbourJSON `json:"searchSamples"`
}

// searchFunction is POST /v1/search-functions/{id}/invoke.
func (s *Server) searchFunction(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.serveCall(w, r, func(r *http.Request, f *function, asked invocation) (any, error) {
		return s.search(r, f, asked)
	})
}

// searchBare is POST /v1/functions/{id}/search, whose items have id and distance
// only.
func (s *Server) searchBare(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.serveCall(w, r, func(r *http.Request, f *function, asked invocation) (any, error) {
		found, err := s.search(r, f, asked)
		return foundJSON{mapped(found, func(n neighbourJSON) neighbourJSON {
			return neighbourJSON{SampleID: n.SampleID, Distance: n.Distance}
		})}, err
	})
}

// searchOld is POST /v0.9/functions/{id}/search.
func (s *Server) searchOld(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.serveCall(w, r, func(r *http.Request, f *function, asked invocation) (any, error) {
		found, err := s.search(r, f, asked)
		return foundJSON{found}, err
	})
}

// fromSample reports whether a content names a sample in place of data.
func (c content) fromSample() bool {
	return c.SampleID != "" && (c.Data == nil || string(c.Data) == "null")
}

// inputOf returns the input of a sample that a search starts from.
func (s *Server) inputOf(f *function, sampleID string) (input, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := f.byID[withPrefix(samplePrefix, sampleID)]
	if m == nil || m.shows.After(time.Now()) {
		return input{}, notFound("sample", sampleID)
	}
	return m.input, nil
}

// search returns the samples nearest to what is asked about.
func (s *Server) search(r *http.Request, f *function, asked invocation) (found []neighbourJSON, err error) {
	if f.output != search {
		return nil, badRequest("This is a function for %s, not for Search.", f.output)
	}
	q := query{values: r.URL.Query()}
	count, withData := q.count("sampleCount", defaultNeighbours), q.boolean("includeData", true)
	if q.err != nil {
		return nil, q.err
	}
	from := newDirection(&asked.input)
	err = s.finish(f, func() error {
		found = mapped(visible(f.samples), func(m *sample) neighbourJSON {
			n := neighbourJSON{SampleID: m.id, ExternalID: m.externalID, Distance: from.distance(m.direction)}
			if m.key == asked.key {
				n.Distance = 0 // whatever rounding says
			}
			return n
		})
		slices.SortStableFunc(found, func(a, b neighbourJSON) int { return cmp.Compare(a.Distance, b.Distance) })
		found = found[:min(count, len(found))]
		if withData {
			for i := range found {
				found[i].Data = f.byID[found[i].SampleID].data
			}
		}
		return nil
	})
	return found, err
}

// A direction is an input as a vector of length 1, in order of feature; empty if
// there is nothing in it.
type direction []component

type component struct {
	feature uint64
	weight  float32
}

func newDirection(in *input) direction {
	var d direction
	for feature := range in.words() {
		d = append(d, component{feature, 1})
	}
	for _, n := range in.numbers {
		d = append(d, component{n.feature, n.value})
	}
	slices.SortFunc(d, func(a, b component) int { return cmp.Compare(a.feature, b.feature) })
	d = slices.CompactFunc(d, func(a, b component) bool { return a.feature == b.feature })
	squares := 0.0
	for _, c := range d {
		squares += float64(c.weight) * float64(c.weight)
	}
	if squares == 0 {
		return nil
	}
	for i := range d {
		d[i].weight /= float32(math.Sqrt(squares))
	}
	return slices.Clip(d)
}

// distance is 1 less the cosine of the angle between two directions: 0 if they
// are one, 1 if they have nothing in common.
func (d direction) distance(other direction) float64 {
	product := 0.0
	for i, j := 0, 0; i < len(d) && j < len(other); {
		switch cmp.Compare(d[i].feature, other[j].feature) {
		case -1:
			i++
		case 1:
			j++
		default:
			product += float64(d[i].weight) * float64(other[j].weight)
			i, j = i+1, j+1
		}
	}
	return max(0, 1-product)
}
