package nyckelsim

import (
	"cmp"
	"net/http"
	"slices"
)

// An invocation is what one invoke, search or the like asks for.
type invocation struct {
	reading
	content         content
	externalID      string
	modelID         string
	labelCount      int
	includeMetadata bool
	capture         bool
}

// An answerer answers an invocation of a function that has its kind of output.
type answerer func(r *http.Request, f *function, asked invocation) (any, error)

// invoke is the endpoint that every function but one for search has.
func (s *Server) invoke(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.serveCall(w, r, func(r *http.Request, f *function, asked invocation) (any, error) {
		switch f.output {
		case classification:
			return s.classify(r, f, asked)
		case tags:
			return s.tag(r, f, asked)
		case search:
			return nil, badRequest("A search function is asked by search, not invoke.")
		default:
			return s.look(r, f, asked)
		}
	})
}

// serveCall has a call answered. A fault strikes whatever the request asks for,
// so that a sick service does not look healthy to a wrong request.
func (s *Server) serveCall(w http.ResponseWriter, r *http.Request, answer answerer) (any, error) {
	s.counts.invoke()
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	key, input := r.PathValue("function"), string(body)
	f, err := s.function(key)
	var asked invocation
	if err == nil {
		key = f.id
		if asked, err = s.parseInvocation(r, f, body); err == nil {
			input = asked.key
		}
	}
	kind, faults := s.faults.next(s.cfg.Seed, key, input)
	wait(r.Context(), faults.Latency)
	if kind != "" && kind != FaultTruncate {
		s.counts.fault(kind)
		return nil, strike(w, r, kind)
	}
	if err != nil {
		return nil, err
	}
	answered, err := answer(r, f, asked)
	if err != nil {
		return nil, err
	}
	wait(r.Context(), faults.serviceTime(s.cfg.Latency))
	if kind == FaultTruncate {
		s.counts.fault(kind)
		truncate(w, answered)
	}
	return answered, nil
}

// parseInvocation reads the request's query and body. What the query says wins
// over the body.
func (s *Server) parseInvocation(r *http.Request, f *function, body []byte) (invocation, error) {
	c, err := parseContent(r, body)
	if err != nil {
		return invocation{}, err
	}
	values := r.URL.Query()
	if values.Get("capture") == "" {
		values.Set("capture", c.capture)
	}
	q := query{values: values}
	asked := invocation{
		content:         c,
		externalID:      cmp.Or(values.Get("externalId"), c.ExternalID),
		modelID:         values.Get("modelId"),
		labelCount:      q.count("labelCount", 0),
		includeMetadata: q.boolean("includeMetadata", false),
		capture:         q.boolean("capture", true),
	}
	if q.err != nil {
		return asked, q.err
	}
	if f.output == search && c.fromSample() {
		asked.input, err = s.inputOf(f, c.SampleID)
		return asked, err
	}
	asked.reading, err = s.read(r.Context(), f, c)
	return asked, err
}

// finish does what every answer takes: under the lock, it sees that the function
// is still there, charges the quota, and then calls do, unless nil.
func (s *Server) finish(f *function, do func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.functions, f) {
		return notFound("function", f.id)
	}
	if s.cfg.Quota > 0 && s.invokes >= s.cfg.Quota {
		return failf(http.StatusPaymentRequired, "The quota of %d invokes is used up.", s.cfg.Quota)
	}
	if do != nil {
		if err := do(); err != nil {
			return err
		}
	}
	s.invokes++
	return nil
}

// captureLocked keeps the input and what it was answered as a sample. If there
// is a sample with the input, that one takes the new prediction, unless nil; its
// external id stays unless it has none.
func (s *Server) captureLocked(f *function, asked invocation, prediction []ranked) *sample {
	m := f.byData[asked.key]
	if m == nil {
		m = s.addSampleLocked(f, asked.input, asked.externalID)
		m.shows, m.captured = s.shows(), true
	}
	m.externalID = cmp.Or(m.externalID, asked.externalID)
	if prediction != nil {
		m.prediction = prediction
	}
	return m
}
