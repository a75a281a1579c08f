package predictions

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// SubmitOptions configure a [Submitter]. The zero value submits no confirmations.
type SubmitOptions struct {
	// Confirmations is the share, 0 to 1, of the truths that the service had got right,
	// be its answer live or out of a cache, which are submitted as well. All others
	// always are: corrections, be it of the prediction or of an earlier truth, and what
	// only rules and other stand-ins had answered. Which confirmations are drawn depends
	// on the sample alone, so that a second run draws the same.
	Confirmations float64

	// Skip leaves a truth alone, as a doubtful one should be: it stays open. Nil
	// leaves none.
	Skip func(Truth) bool
}

// A Submitter tells the service the truths that the store knows, as annotations of
// samples, from which its next model learns. What became of each truth is in the
// store, so that a submitter that was killed goes on where it was; a truth that
// was on its way is sent again, which does no harm. Only the current truth of a
// sample is sent, and a correction takes the place of what was sent before.
//
// The sample is that of the prediction, where the service said which it is, or the
// one with the external id. None yet means later; several mean that none of them
// is touched. Samples that an endpoint of a failover named in the service's stead do
// not count: they may be another account's. Where calls are spread over accounts, as by
// weights, the store cannot tell those samples: truths about them stay later.
//
// Let one submitter at a time work on a store.
type Submitter struct {
	store   *Store
	client  *nyckel.Client
	options SubmitOptions
}

// NewSubmitter returns a submitter for the functions of a client, whose limit it
// keeps and whose stack should have no failover to another account: truths would go
// there. It panics if the share of confirmations is not between 0 and 1.
func NewSubmitter(store *Store, client *nyckel.Client, options SubmitOptions) *Submitter {
	if !(options.Confirmations >= 0 && options.Confirmations <= 1) {
		panic(fmt.Sprintf("predictions: share of confirmations is %v, want 0 to 1", options.Confirmations))
	}
	return &Submitter{store: store, client: client, options: options}
}

// Submitted says what became of the truths of one run.
type Submitted struct {
	Done, Later, Ambiguous, Refused, Skipped int
}

// open is a truth that the service has not been told.
type open struct {
	seq              int64
	function, sample string
	truth            Truth
	corrects         bool // another truth, which the service may have been told
}

// Submit works once through the truths of one function that are open or that were
// put off. The error says why it stopped before the end: the service cannot be
// reached, wants no more for now, or does not know us. What it did until then
// stands.
func (s *Submitter) Submit(ctx context.Context, function string) (Submitted, error) {
	var done Submitted
	handle, err := s.client.Function(function)
	if err != nil {
		return done, err
	}
	for after := int64(0); ; {
		page, err := s.store.openTruths(ctx, function, after)
		if err != nil || len(page) == 0 {
			return done, err
		}
		for _, o := range page {
			after = o.seq
			if s.options.Skip != nil && s.options.Skip(o.truth) {
				continue
			}
			if current, err := s.store.isCurrent(ctx, o); err != nil {
				return done, err
			} else if !current {
				continue
			}
			state, reason := s.submit(ctx, handle, o)
			if err := s.store.submitted(ctx, o, state, reason); err != nil {
				return done, err
			}
			done.count(state)
			if stops(reason) {
				return done, reason
			}
		}
	}
}

func (d *Submitted) count(state SubmitState) {
	switch state {
	case SubmitDone:
		d.Done++
	case SubmitLater:
		d.Later++
	case SubmitAmbiguous:
		d.Ambiguous++
	case SubmitRefused:
		d.Refused++
	case SubmitSkipped:
		d.Skipped++
	}
}

// errNoSample means that the sample is not there, as yet.
var errNoSample = errors.New("no sample has the external id yet")

// submit tells the service one truth. The reason explains a state that is not done.
func (s *Submitter) submit(ctx context.Context, handle *nyckel.Handle, o open) (SubmitState, error) {
	p, err := s.store.predicted(ctx, o)
	if err != nil {
		return SubmitLater, err
	}
	if p.label == o.truth.Label && !o.corrects && !drawn(o, s.options.Confirmations) {
		return SubmitSkipped, nil
	}
	switch {
	case len(p.samples) > 1:
		return SubmitAmbiguous, fmt.Errorf("%d samples have the external id", len(p.samples))
	case len(p.samples) == 0 && p.nameless:
		return SubmitRefused, errors.New("the prediction has neither a sample id of the account nor an external id")
	case len(p.samples) == 0:
		sample, err := find(ctx, handle, o.sample)
		if errors.Is(err, nyckel.ErrAmbiguous) {
			return SubmitAmbiguous, err
		}
		if err != nil {
			return SubmitLater, err
		}
		if err := s.store.setSample(ctx, o, sample); err != nil {
			return SubmitLater, err
		}
		p.samples = []string{sample}
	}
	err = handle.Annotate(ctx, p.samples[0], nyckel.Annotation{LabelName: o.truth.Label})
	switch classOf(err) {
	case policy.OK:
		return SubmitDone, nil
	case policy.Invalid, policy.Conflict, policy.Filtered:
		return SubmitRefused, err
	}
	return SubmitLater, err
}

// find returns the id of the one sample with that external id.
func find(ctx context.Context, handle *nyckel.Handle, externalID string) (string, error) {
	var id string
	for sample, err := range handle.Samples(ctx, nyckel.SampleFilter{ExternalID: externalID, NoData: true}) {
		switch {
		case err != nil:
			return "", err
		case id != "" && sample.ID != id:
			return "", nyckel.ErrAmbiguous
		}
		id = sample.ID
	}
	if id == "" {
		return "", errNoSample
	}
	return id, nil
}

// classOf returns the verdict on a call: OK if it went well, Unknown if it was not
// made.
func classOf(err error) policy.Class {
	if err == nil {
		return policy.OK
	}
	if e := policy.ErrorOf(err); e != nil {
		return e.Verdict.Class
	}
	return policy.Unknown
}

// stops reports whether the next truth would fare no better.
func stops(reason error) bool {
	switch classOf(reason) {
	case policy.RateLimited, policy.QuotaExceeded, policy.Unauthenticated, policy.Forbidden, policy.Overloaded, policy.Unreachable,
		policy.Refused, policy.Canceled:
		return true
	}
	return false
}

// drawn reports whether a confirmation is among the share that is submitted.
func drawn(o open, share float64) bool {
	h := fnv.New64a()
	h.Write([]byte(o.function + "\x00" + o.sample))
	// FNV's high bits differ little between short texts; this mixes them.
	mixed := h.Sum64() * 0x9e3779b97f4a7c15
	mixed ^= mixed >> 32
	mixed *= 0x9e3779b97f4a7c15
	return float64(mixed>>11)/(1<<53) < share
}

// openTruths returns some of the current truths that are to be submitted.
func (s *Store) openTruths(ctx context.Context, function string, after int64) ([]open, error) {
	var page []open
	err := s.each(ctx, `SELECT seq, sample, label, by_whom, at,
			CASE WHEN sample IN (SELECT sample FROM sparekey_truths WHERE current = 0 AND function = $1) THEN 1 ELSE 0 END
		FROM sparekey_truths WHERE current = 1 AND submit IN ('open', 'later') AND function = $1 AND seq > $2 ORDER BY seq LIMIT 200`, []any{function, after},
		func(scan func(...any) error) error {
			o := open{function: function}
			var at int64
			var corrects int
			if err := scan(&o.seq, &o.sample, &o.truth.Label, &o.truth.By, &at, &corrects); err != nil {
				return err
			}
			o.corrects = corrects == 1
			o.truth.Function, o.truth.ExternalID, o.truth.At = function, o.sample, time.UnixMicro(at)
			page = append(page, o)
			return nil
		})
	return page, err
}

// isCurrent reports whether a truth still stands: it may have been corrected or erased
// since its page was read.
func (s *Store) isCurrent(ctx context.Context, o open) (current bool, err error) {
	query := s.dialect.sql("SELECT EXISTS (SELECT 1 FROM sparekey_truths WHERE seq = $1 AND current = 1)")
	if err := s.db.QueryRowContext(ctx, query, o.seq).Scan(&current); err != nil {
		return false, fmt.Errorf("predictions: submit: %w", err)
	}
	return current, nil
}

// submitted writes down what became of a truth. If it was corrected meanwhile, the
// correction is open all the same.
func (s *Store) submitted(ctx context.Context, o open, state SubmitState, reason error) error {
	text := ""
	if reason != nil {
		text = plain(reason.Error())
	}
	// Not under ctx, whose end may be the reason.
	return s.Update(context.WithoutCancel(ctx), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, s.dialect.sql("UPDATE sparekey_truths SET submit = $1, submitted_at = $2, submit_error = $3 WHERE seq = $4"),
			string(state), time.Now().UnixMicro(), text, o.seq)
		if err != nil {
			return fmt.Errorf("predictions: submit: %w", err)
		}
		return nil
	})
}

// predicted is what the store knows of a sample.
type predicted struct {
	label    string   // what the last live answer said or, without one, the last out of a cache
	samples  []string // its ids in the account
	nameless bool     // the sample is a prediction without an external id
}

func (s *Store) predicted(ctx context.Context, o open) (predicted, error) {
	var p predicted
	live, seen := false, make(map[string]bool)
	err := s.each(ctx, `SELECT label, sample_id, source, 0, seq FROM sparekey_predictions WHERE external_id = $1 AND function = $2
		UNION ALL SELECT label, sample_id, source, 1, seq FROM sparekey_predictions WHERE id = $1 AND function = $2 AND external_id IS NULL
		ORDER BY seq`, []any{o.sample, o.function},
		func(scan func(...any) error) error {
			var label, sample string
			var source telemetry.Source
			var nameless int
			var seq int64
			if err := scan(&label, &sample, &source, &nameless, &seq); err != nil {
				return err
			}
			switch {
			case source == telemetry.Live:
				p.label, live = label, true
			case !live && (source == telemetry.Cache || source == telemetry.Stale):
				p.label = label
			}
			if sample != "" && !seen[sample] && !elsewhere(source) {
				seen[sample] = true
				p.samples = append(p.samples, sample)
			}
			p.nameless = p.nameless || nameless == 1
			return nil
		})
	return p, err
}

// elsewhere reports whether an answer came from what has a name of its own, an endpoint
// of a failover or a rung of a fallback. A sample that it names may be another account's.
func elsewhere(source telemetry.Source) bool {
	switch source {
	case telemetry.Live, telemetry.Cache, telemetry.Stale, telemetry.Similar, telemetry.Rule, telemetry.Static:
		return false
	}
	return true
}

// setSample writes down which sample the predictions were about.
func (s *Store) setSample(ctx context.Context, o open, sample string) error {
	return s.Update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, s.dialect.sql("UPDATE sparekey_predictions SET sample_id = $1 WHERE function = $2 AND external_id = $3 AND sample_id = ''"),
			sample, o.function, o.sample)
		if err != nil {
			return fmt.Errorf("predictions: submit: %w", err)
		}
		return nil
	})
}
