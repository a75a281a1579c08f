package nyckelsim

import "net/http"

// A boxJSON is an object that a function for BoxDetect or Detection has found.
// All lengths are parts of the picture's.
type boxJSON struct {
	LabelName   string   `json:"labelName"`
	Confidence  float64  `json:"confidence"`
	BoundingBox areaJSON `json:"boundingBox"`
}

type areaJSON struct {
	X      float64 `json:"x"`
	Y      float64 `json:"y"`
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
}

// A pointsJSON is an object that a function for Localization has found.
type pointsJSON struct {
	Points []pointJSON `json:"points"`
}

type pointJSON struct {
	X          float64 `json:"x"`
	Y          float64 `json:"y"`
	Confidence float64 `json:"confidence"`
}

// ocrJSON is the answer of a function for Ocr.
type ocrJSON struct {
	Text    string       `json:"text"`
	Regions []regionJSON `json:"regions,omitempty"`
}

type regionJSON struct {
	Text        string   `json:"text"`
	BoundingBox areaJSON `json:"boundingBox"`
}

// lookFor is the endpoint of calls that one kind of output has to itself.
func (s *Server) lookFor(output string) endpoint {
	return func(w http.ResponseWriter, r *http.Request) (any, error) {
		return s.serveCall(w, r, func(r *http.Request, f *function, asked invocation) (any, error) {
			if f.output != output {
				return nil, badRequest("This is a function for %s, not for %s.", f.output, output)
			}
			return s.look(r, f, asked)
		})
	}
}

// look answers for the outputs that only pictures have, by what is in the
// picture.
func (s *Server) look(r *http.Request, f *function, asked invocation) (any, error) {
	s.mu.Lock()
	model, err := f.model(asked.modelID)
	name := f.name
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	var answer any
	if f.output == ocr {
		q := query{values: r.URL.Query()}
		if answer = written(asked.file, q.boolean("includeRegions", false)); q.err != nil {
			return nil, q.err
		}
	} else {
		var found []region
		if model != nil {
			found = regions(asked.picture)
		}
		answer = inShape(f.output, name, found)
	}
	err = s.finish(f, func() error {
		if asked.capture {
			s.captureLocked(f, asked, nil)
		}
		return nil
	})
	return answer, err
}

// inShape returns the answer of a function for output that has found regions.
func inShape(output, name string, found []region) any {
	if output == localization {
		return mapped(found, func(r region) pointsJSON { return pointsJSON{[]pointJSON{r.centre()}} })
	}
	boxes := mapped(found, func(r region) boxJSON { return boxJSON{name, r.fill, r.area} })
	if output == boxDetect {
		return struct {
			Predictions []boxJSON `json:"predictions"`
		}{boxes}
	}
	return boxes
}
