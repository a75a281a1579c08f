package cache

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

// bytesPerText is about how much memory a remembered question takes.
const bytesPerText = 1 << 10

// maxLabel is the longest label of a question that is remembered, in bytes.
const maxLabel = 256

// A similarRung finds the answers to much alike questions for [Memo.Similar]: it reads
// requests and answers, and similar knows which texts are alike. Nil finds none.
type similarRung struct {
	*similar
	cfg    policy.Similar
	codec  policy.Codec
	unhook func() // from the store
}

// newSimilarRung returns the rung that cfg asks for, nil for none.
func newSimilarRung(cfg policy.Cache, codec policy.Codec, store *Store) *similarRung {
	if cfg.Similar == nil {
		return nil
	}
	if codec == nil {
		codec = policy.Classification{}
	}
	r := &similarRung{similar: newSimilar(*cfg.Similar, textsFor(store.config())), cfg: *cfg.Similar, codec: codec}
	r.unhook = store.onDrop(r.forget)
	return r
}

// textsFor returns how many questions are remembered: as many as a quarter of the store's
// bound has room for. Their memory comes on top of that bound.
func textsFor(bounds StoreConfig) int {
	return int(min(int64(bounds.MaxEntries), max(bounds.MaxBytes/4/bytesPerText, 1)))
}

// with returns the rung that other settings ask for. It goes on with what r knows if
// Similar is the same in both. The store has its new bounds already.
func (r *similarRung) with(cfg policy.Cache, codec policy.Codec, store *Store) *similarRung {
	if r == nil {
		return newSimilarRung(cfg, codec, store)
	}
	if cfg.Similar == nil || *cfg.Similar != r.cfg {
		r.leave()
		return newSimilarRung(cfg, codec, store)
	}
	r.resize(textsFor(store.config()))
	other := *r
	if other.codec = codec; codec == nil {
		other.codec = policy.Classification{}
	}
	return &other
}

// leave has the store tell r of nothing any more.
func (r *similarRung) leave() {
	if r != nil {
		r.unhook()
	}
}

// Similar returns the answer to an earlier question that is much like the one of
// req, as the rung [policy.RungSimilar] of a ladder, if [policy.Cache.Similar] is
// set and such answers were right often enough while the service answered. It has
// the form of the codec, and Age and Cache-Status; to mark it, with the cause, is
// left to the ladder. There is none for a request for which [Memo.Stale] has none
// on principle, nor for one whose body is no JSON object with a text in it.
//
// All else must be equal: whose the request is, its URL, its header, function and
// model, and the rest of its body.
//
// The request's body is taken from GetBody. In shadow, Similar counts nothing.
func (m *Memo) Similar(req *http.Request, shadow bool) (*http.Response, telemetry.Answer, bool) {
	if m.alike == nil || m.cfg.Off || policy.Excluded(req.Context(), policy.RungSimilar) {
		return nil, telemetry.Answer{}, false
	}
	q, ok := m.question(req, true)
	if !ok || q.refresh {
		return nil, telemetry.Answer{}, false
	}
	place, text, ok := m.alike.read(req, q.key)
	if !ok {
		return nil, telemetry.Answer{}, false
	}
	now := time.Now()
	found, e, ok := m.alike.find(place, text, m.store, now)
	if !ok {
		return nil, telemetry.Answer{}, false
	}
	document, err := m.alike.codec.Encode(policy.Answer{Label: found.label, Confidence: found.confidence}, "")
	if err != nil {
		return nil, telemetry.Answer{}, false
	}
	if !shadow {
		m.store.report(req, alike)
	}
	age := now.Sub(e.born)
	return similarResponse(req, document, age), telemetry.Answer{
		Source: telemetry.Similar, Age: age, Confidence: found.confidence,
		Similarity: found.similarity, Accuracy: found.accuracy, Samples: found.samples,
	}, true
}

// SimilarStats returns what was found out about answers to similar questions, nil
// if [policy.Cache.Similar] is not set.
func (m *Memo) SimilarStats() []SimilarStats {
	if m.alike == nil {
		return nil
	}
	return m.alike.stats()
}

// find returns the answer to the question that is most like text, among those
// that the store still has.
func (r *similarRung) find(p partition, text string, store *Store, now time.Time) (verdict, *entry, bool) {
	m, e := r.lookHeld(p, text, store, now)
	if e == nil {
		return verdict{}, nil, false
	}
	found, ok := r.serve(m)
	return found, e, ok
}

// lookHeld looks for text among the questions whose answers the store still has, and
// returns the one that would be given, nil if none.
func (r *similarRung) lookHeld(p partition, text string, store *Store, now time.Time) (match, *entry) {
	const tries = 8 // of keys whose answers are gone, as after a purge
	for range tries {
		m := r.look(p, text)
		if m.given == 0 {
			return m, nil
		}
		e, ok := store.peek(m.key, now).(*entry)
		if ok && !e.born.After(m.asked) { // else it is a later one, of which we know no label
			return m, e
		}
		r.forget(m.key)
	}
	return match{}, nil
}

// learn compares a live answer with what would have been said in its place, and
// remembers it. E is the answer, which came at that time and was put under k; if it is
// not there, for a purge or a later one, nothing is learnt from it.
func (r *similarRung) learn(req *http.Request, k key, e *entry, store *Store, came time.Time) {
	if r == nil || !e.isHeld(store, k) {
		return
	}
	label, ok := r.label(req.Context(), e.body)
	if !ok {
		return
	}
	p, text, ok := r.read(req, k)
	if !ok {
		return
	}
	m, _ := r.lookHeld(p, text, store, came)
	r.compare(m, label)
	r.similar.learn(p, text, label, k, came)
	if !e.isHeld(store, k) { // as after a purge in the meantime
		r.forget(k)
	}
}

// label reads the label of a document. A codec that panics does so in the hands of
// who reads a live answer, and must not break it.
func (r *similarRung) label(ctx context.Context, document []byte) (label string, ok bool) {
	defer func() {
		if value := recover(); value != nil {
			label, ok = "", false
			telemetry.FromContext(ctx).RungFailed(ctx, policy.RungSimilar, fmt.Errorf("codec: panic with a %T", value))
		}
	}()
	label, _, ok = r.codec.Label(document)
	return label, ok && label != "" && len(label) <= maxLabel
}

// read returns the text of a request, and all else of it that must be equal. It reports
// false if there is none, and if GetBody does not give the question with the key k.
func (r *similarRung) read(req *http.Request, k key) (p partition, text string, ok bool) {
	room := scratches.Get().(*scratch)
	defer room.release()
	room.readQuestion(req.Header)
	if !isJSON(room.header.contentType) {
		return p, "", false
	}
	data, ok := room.snapshot(req, true)
	if !ok {
		return p, "", false
	}
	form, ok := room.parser.parse(data)
	call := policy.CallOf(req.Context())
	if !ok || room.keyOf(req, call, form.text) != k {
		return p, "", false // it could be read in several ways, or is not what was sent
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(form.text, &members) != nil {
		return p, "", false
	}
	if json.Unmarshal(members[r.cfg.Field], &text) != nil || text == "" {
		return p, "", false
	}
	delete(members, r.cfg.Field)
	rest, err := json.Marshal(members) // sorted
	if err != nil {
		return p, "", false
	}
	return partition{hash: room.keyOf(req, call, rest), function: call.Function}, text, true
}

// similarResponse returns a document as the service would have sent it.
func similarResponse(req *http.Request, document []byte, age time.Duration) *http.Response {
	return &http.Response{
		Status:     "200 OK",
		StatusCode: http.StatusOK,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header: http.Header{
			"Content-Type":   {"application/json"},
			"Content-Length": {strconv.Itoa(len(document))},
			"Age":            {strconv.FormatInt(int64(age/time.Second), 10)},
			"Cache-Status":   {ownName + "; fwd=miss; detail=similar"},
		},
		Body:          body.Bytes(document),
		ContentLength: int64(len(document)),
		Request:       req,
	}
}
