package main

import (
	"time"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// invoked is what invoke prints as JSON. Times are milliseconds.
type invoked struct {
	Function   string    `json:"function"`
	Label      string    `json:"label,omitempty"`
	LabelID    string    `json:"label_id,omitempty"`
	Confidence float64   `json:"confidence"`
	Labels     []likely  `json:"labels,omitempty"`
	Model      string    `json:"model,omitempty"` // the pin
	Source     string    `json:"source"`          // "" if there is no answer
	Degraded   bool      `json:"degraded"`
	Rule       string    `json:"rule,omitempty"`
	AgeMS      float64   `json:"age_ms,omitempty"`
	Cause      string    `json:"cause,omitempty"`
	TookMS     float64   `json:"took_ms"`
	Attempts   []attempt `json:"attempts"`
	Refusals   []refusal `json:"refusals"`
	Error      *failure  `json:"error,omitempty"`
}

type likely struct {
	Label      string  `json:"label"`
	LabelID    string  `json:"label_id,omitempty"`
	Confidence float64 `json:"confidence"`
}

type attempt struct {
	Number  int     `json:"number"`
	StartMS float64 `json:"start_ms"`
	WaitMS  float64 `json:"waited_ms"`
	TookMS  float64 `json:"took_ms"`
	Status  int     `json:"status,omitempty"`
	Class   string  `json:"class"`
	Hedge   bool    `json:"hedge,omitempty"`
}

type refusal struct {
	AtMS   float64 `json:"at_ms"`
	Layer  string  `json:"layer"`
	Reason string  `json:"reason"`
}

type failure struct {
	Class   string `json:"class"`
	Message string `json:"message"`
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func invokedOf(function string, p *nyckel.Prediction, err error, trail *telemetry.Trail, start time.Time, took time.Duration) invoked {
	answer := trail.Answer()
	out := invoked{
		Function: function, Source: string(answer.Source), Degraded: answer.Degraded(), Rule: answer.Rule,
		AgeMS: milliseconds(answer.Age), TookMS: milliseconds(took), Attempts: []attempt{}, Refusals: []refusal{},
	}
	if out.Degraded {
		out.Cause = answer.Cause.String()
	}
	if p != nil {
		out.Label, out.LabelID, out.Confidence, out.Model = p.LabelName, p.LabelID, p.Confidence, p.Model
		for _, l := range p.Labels {
			out.Labels = append(out.Labels, likely{l.LabelName, l.LabelID, l.Confidence})
		}
	}
	for _, a := range trail.Attempts() {
		out.Attempts = append(out.Attempts, attempt{
			a.Number, milliseconds(a.Start.Sub(start)), milliseconds(a.Waited), milliseconds(a.Duration), a.Status, a.Verdict.Class.String(), a.Hedge,
		})
	}
	for _, r := range trail.Refusals() {
		out.Refusals = append(out.Refusals, refusal{milliseconds(r.At.Sub(start)), r.Layer, r.Reason})
	}
	if e := policy.ErrorOf(err); e != nil {
		out.Error = &failure{e.Verdict.Class.String(), err.Error()}
		out.Source, out.Degraded, out.Cause = "", false, ""
	}
	return out
}
