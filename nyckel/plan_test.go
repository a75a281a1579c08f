package nyckel_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport/plan"
)

// planOf returns a plan with the account of the tests, its function, and others.
func planOf(t *testing.T, a *account) *plan.Plan {
	t.Helper()
	p, err := plan.New(plan.File{
		Version: 1,
		Accounts: map[string]plan.Account{
			"main": {
				ClientID: clientID, ClientSecret: policy.NewSecret(clientSecret), BaseURL: a.server.URL,
				Limit: &policy.Limit{PerSecond: 3, Burst: 1, MaxWait: time.Millisecond},
			},
			"other": {ClientID: "other", ClientSecret: policy.NewSecret("other secret")},
		},
		Defaults: policy.Stack{Retry: policy.Retry{Attempts: 1}},
		Functions: map[string]plan.Function{
			"tickets": {ID: a.function, Account: "main", Stack: policy.Stack{
				Retry:    policy.Retry{Attempts: 1},
				Fallback: &policy.Fallback{Static: &policy.Answer{Label: "triage", Confidence: 0.1}},
			}},
			"old":     {ID: a.function, Account: "main", Model: "model_of_last_year"},
			"theirs":  {ID: "function_2", Account: "other"},
			"foreign": {},
		},
	})
	require.NoError(t, err)
	return p
}

func TestWithPlan(t *testing.T) {
	a := newAccount(t, nyckelsim.Config{})
	client, err := nyckel.New(nyckel.WithPlan(planOf(t, a), "main"), nyckel.WithHTTPClient(a.server.Client()))
	require.NoError(t, err)
	assert.Equal(t, []string{"old", "tickets"}, client.Functions(), "those of the account that have an id")

	prediction, err := client.Invoke(t.Context(), "tickets", nyckel.Text("where is my parcel"))
	require.NoError(t, err)
	assert.Equal(t, "delivery", prediction.LabelName)
	assert.Equal(t, telemetry.Live, prediction.Answer.Source)

	// The limit of the file is the client's, and its rung answers.
	prediction, err = client.Invoke(t.Context(), "tickets", nyckel.Text("where is my parcel"))
	require.NoError(t, err)
	assert.Equal(t, telemetry.Static, prediction.Answer.Source)
	assert.Equal(t, "triage", prediction.LabelName)
}

func TestWithPlanModel(t *testing.T) {
	a := newAccount(t, nyckelsim.Config{})
	client, err := nyckel.New(nyckel.WithPlan(planOf(t, a), "main"), nyckel.WithHTTPClient(a.server.Client()))
	require.NoError(t, err)
	_, err = client.Invoke(t.Context(), "old", nyckel.Text("where is my parcel"))
	assert.ErrorContains(t, err, `no model "model_of_last_year"`)
}

func TestWithPlanOrder(t *testing.T) {
	a := newAccount(t, nyckelsim.Config{})
	client, err := nyckel.New(nyckel.WithPlan(planOf(t, a), "other"), nyckel.WithBaseURL(a.server.URL),
		nyckel.WithCredentials(clientID, clientSecret), nyckel.WithHTTPClient(a.server.Client()),
		nyckel.WithFunction("tickets", nyckel.Function{ID: a.function}))
	require.NoError(t, err)
	assert.Equal(t, []string{"theirs", "tickets"}, client.Functions())
	_, err = client.Invoke(t.Context(), "tickets", nyckel.Text("where is my parcel"))
	assert.NoError(t, err, "options after the plan go before it")
}

func TestWithPlanErrors(t *testing.T) {
	a := newAccount(t, nyckelsim.Config{})
	without, err := plan.New(plan.File{Version: 1})
	require.NoError(t, err)
	tests := []struct {
		name    string
		plan    *plan.Plan
		account string
		want    string
	}{
		{"no plan", nil, "", "nyckel: WithPlan: the plan is nil"},
		{"no account", without, "", "nyckel: WithPlan: the plan has no account; describe one under accounts"},
		{"several", planOf(t, a), "", "nyckel: WithPlan: the plan has several accounts; name one of main, other"},
		{"unknown", planOf(t, a), "mian", `nyckel: WithPlan: the plan has no account "mian"; did you mean main?`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := nyckel.New(nyckel.WithPlan(tt.plan, tt.account))
			assert.EqualError(t, err, tt.want)
		})
	}

	_, err = nyckel.New(nyckel.WithPlan(planOf(t, a), "main"), nyckel.WithFunction("tickets", nyckel.Function{ID: "x"}))
	assert.EqualError(t, err, `nyckel: function "tickets" is configured twice`)

	_, err = nyckel.New(nyckel.WithPlan(planOf(t, a), "main"), nyckel.WithTokenSource(fixed("t")))
	assert.EqualError(t, err, "nyckel: WithCredentials and WithTokenSource exclude each other")
}
