package nyckelsim

import (
	"cmp"
	"net/http"
	"slices"
)

// An invocation is what one invoke asks for.
type invocation struct {
	text            string
	externalID      string
	modelID         string
	labelCount      int
	includeMetadata bool
	capture         bool
}

// invokeJSON is the answer to an invoke.
type invokeJSON struct {
	LabelName        string            `json:"labelName"`
	LabelID          string            `json:"labelId"`
	LabelMetadata    map[string]string `json:"labelMetadata,omitempty"`
	Confidence       float64           `json:"confidence"`
	LabelConfidences []confidenceJSON  `json:"labelConfidences,omitempty"`
	ExternalID       string            `json:"externalId,omitempty"`
	SampleID         string            `json:"sampleId,omitempty"`
}

type confidenceJSON struct {
	LabelName  string  `json:"labelName"`
	LabelID    string  `json:"labelId"`
	Confidence float64 `json:"confidence"`
}

// A ranked is a label and how likely it is the answer.
type ranked struct {
	label      *label
	confidence float64
}

// invoke is the endpoint. A fault strikes whatever the request asks for, so
// that a sick service does not look healthy to a wrong request.
func (s *Server) invoke(w http.ResponseWriter, r *http.Request) (any, error) {
	s.counts.invoke()
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	f, findErr := s.function(r.PathValue("function"))
	asked, parseErr := parseInvocation(r, body)

	key, input := r.PathValue("function"), string(body)
	if findErr == nil {
		key = f.id
	}
	if parseErr == nil {
		input = asked.text
	}
	kind, faults := s.faults.next(s.cfg.Seed, key, input)
	wait(r.Context(), faults.Latency)
	if kind != "" && kind != FaultTruncate {
		s.counts.fault(kind)
		return nil, strike(w, r, kind)
	}
	if err := cmp.Or(findErr, parseErr); err != nil {
		return nil, err
	}
	answer, err := s.predict(r, f, asked)
	if err != nil {
		return nil, err
	}
	wait(r.Context(), faults.serviceTime(s.cfg.Latency))
	if kind == FaultTruncate {
		s.counts.fault(kind)
		truncate(w, answer)
	}
	return answer, nil
}

// parseInvocation reads the request's query and body. An external id in the
// query wins.
func parseInvocation(r *http.Request, body []byte) (invocation, error) {
	q := query{values: r.URL.Query()}
	asked := invocation{
		externalID:      q.values.Get("externalId"),
		modelID:         q.values.Get("modelId"),
		labelCount:      q.count("labelCount", 0),
		includeMetadata: q.boolean("includeMetadata", false),
		capture:         q.boolean("capture", true),
	}
	if q.err != nil {
		return asked, q.err
	}
	var content struct {
		Data       *string        `json:"data"`
		ExternalID string         `json:"externalId"`
		Metadata   map[string]any `json:"metadata"` // checked only
	}
	if err := decode(body, &content); err != nil {
		return asked, err
	}
	if err := checkText(content.Data); err != nil {
		return asked, err
	}
	asked.text = *content.Data
	asked.externalID = cmp.Or(asked.externalID, content.ExternalID)
	return asked, nil
}

// predict classifies the text, captures it and charges the quota.
func (s *Server) predict(r *http.Request, f *function, asked invocation) (invokeJSON, error) {
	if asked.modelID == "" {
		if err := s.ensureTrained(r.Context(), f, (*function).due); err != nil {
			panic(http.ErrAbortHandler) // the client has left
		}
	}
	rank, err := s.ranker(f, asked.modelID)
	if err != nil {
		return invokeJSON{}, err
	}
	labels := rank(asked.text) // without the lock

	s.mu.Lock()
	defer s.mu.Unlock()
	labels = slices.DeleteFunc(labels, func(l ranked) bool { return !slices.Contains(f.labels, l.label) })
	if len(labels) == 0 {
		return invokeJSON{}, badRequest("The function has no label to answer with.")
	}
	if s.cfg.Quota > 0 && s.invokes >= s.cfg.Quota {
		return invokeJSON{}, failf(http.StatusPaymentRequired, "The quota of %d invokes is used up.", s.cfg.Quota)
	}
	s.invokes++
	answer := answerLocked(labels, asked)
	if asked.capture {
		m := s.captureLocked(f, asked, labels[0])
		if s.cfg.Mode == Guide {
			answer.SampleID = m.id
		}
	}
	return answer, nil
}

// ranker returns what ranks labels for a text: the pinned model, the newest, or
// the labels' names as long as there is no model.
func (s *Server) ranker(f *function, modelID string) (func(text string) []ranked, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := f.training.newest()
	if modelID != "" {
		id := withPrefix(modelPrefix, modelID)
		if m = first(f.training.models, func(m *model) bool { return m.id == id }); m == nil {
			return nil, badRequest("The function has no model %q.", modelID)
		}
	}
	if m != nil {
		return m.rank, nil
	}
	labels := slices.Clone(f.labels)
	names := mapped(labels, func(l *label) string { return l.name })
	return func(text string) []ranked { return rank(labels, zeroShot(names, text)) }, nil
}

func (m *model) rank(text string) []ranked { return rank(m.labels, m.classifier.probabilities(text)) }

// rank pairs labels with their confidences, best first.
func rank(labels []*label, confidences []float64) []ranked {
	list := make([]ranked, len(labels))
	for i, l := range labels {
		list[i] = ranked{l, confidences[i]}
	}
	slices.SortStableFunc(list, func(a, b ranked) int { return cmp.Compare(b.confidence, a.confidence) })
	return list
}

// answerLocked writes the answer for labels, best first.
func answerLocked(labels []ranked, asked invocation) invokeJSON {
	best := labels[0]
	answer := invokeJSON{
		LabelName:  best.label.name,
		LabelID:    best.label.id,
		Confidence: best.confidence,
		ExternalID: asked.externalID,
	}
	if asked.includeMetadata {
		answer.LabelMetadata = best.label.metadata
	}
	if asked.labelCount > 1 {
		answer.LabelConfidences = mapped(labels[:min(asked.labelCount, len(labels))], func(l ranked) confidenceJSON {
			return confidenceJSON{l.label.name, l.label.id, l.confidence}
		})
	}
	return answer
}

// captureLocked keeps the text and its best label as a sample. If there is a
// sample with the text, that one takes the new prediction; its external id
// stays unless it has none.
func (s *Server) captureLocked(f *function, asked invocation, best ranked) *sample {
	m := f.byData[asked.text]
	if m == nil {
		m = s.addSampleLocked(f, asked.text, asked.externalID)
	}
	m.externalID = cmp.Or(m.externalID, asked.externalID)
	m.prediction, m.confidence = best.label, best.confidence
	return m
}
