package nyckel_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/batch"
	"github.com/sparekey/sparekey/nyckel/chat"
	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/jobs/jobstest"
	"github.com/sparekey/sparekey/nyckel/jobs/sqlitejobs"
	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
	"github.com/sparekey/sparekey/nyckel/nyckelsim/outage"
	"github.com/sparekey/sparekey/nyckel/nyckelsim/tape"
	"github.com/sparekey/sparekey/nyckel/pin"
	"github.com/sparekey/sparekey/nyckel/predictions"
	"github.com/sparekey/sparekey/nyckel/predictions/report"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/policy/config"
	"github.com/sparekey/sparekey/policy/words"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/telemetry/console"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/plan"
	"github.com/sparekey/sparekey/transport/transporttest"
	"github.com/sparekey/sparekey/transport/transporttest/providersim"
)

// exported are the exported struct types, by the folder of their package.
var exported = map[string][]any{
	"cache": {
		new(cache.HTTPConfig), new(cache.Memo), new(cache.PredictionsConfig), new(cache.SimilarStats), new(cache.Stats),
		new(cache.Store), new(cache.StoreConfig),
	},
	"fallback": {
		new(fallback.Fallback), new(fallback.FidelityFigure), new(fallback.Figure), new(fallback.Ladder),
		new(fallback.LadderConfig), new(fallback.Problem), new(fallback.Rung), new(fallback.Sample),
	},
	"nyckel": {
		new(nyckel.Annotation), new(nyckel.Box), new(nyckel.Client), new(nyckel.Detection), new(nyckel.Detections),
		new(nyckel.Field), new(nyckel.Function), new(nyckel.FunctionInfo), new(nyckel.Handle), new(nyckel.Image),
		new(nyckel.Label), new(nyckel.LabelConfidence), new(nyckel.Location), new(nyckel.Locations), new(nyckel.Match),
		new(nyckel.Matches), new(nyckel.Metrics), new(nyckel.Model), new(nyckel.NewFunction), new(nyckel.NewSample),
		new(nyckel.Outcome), new(nyckel.Point), new(nyckel.Prediction), new(nyckel.Project), new(nyckel.Reading),
		new(nyckel.Record), new(nyckel.Sample), new(nyckel.SampleFilter), new(nyckel.Tags),
	},
	"nyckel/batch": {
		new(batch.Batcher[string, string]), new(batch.Config), new(batch.Request), new(batch.Result[string]), new(batch.Service[string, string]), new(batch.Stats),
	},
	"nyckel/chat": {
		new(chat.Question),
	},
	"nyckel/jobs": {
		new(jobs.Call), new(jobs.DeadJob), new(jobs.Delivery), new(jobs.Figures), new(jobs.FullError), new(jobs.Job),
		new(jobs.Outcome), new(jobs.Progress), new(jobs.ProgressConfig), new(jobs.Receipt), new(jobs.RunConfig),
		new(jobs.Settings), new(jobs.Settled), new(jobs.Stats),
	},
	"nyckel/jobs/jobstest": {
		new(jobstest.Backend),
	},
	"nyckel/jobs/sqlitejobs": {
		new(sqlitejobs.Engine), new(sqlitejobs.Options),
	},
	"nyckel/nyckelsim": {
		new(nyckelsim.Admin), new(nyckelsim.Config), new(nyckelsim.Faults), new(nyckelsim.Instance), new(nyckelsim.Phase),
		new(nyckelsim.Sample), new(nyckelsim.Server), new(nyckelsim.Stats),
	},
	"nyckel/nyckelsim/dataset": {
		new(dataset.Row),
	},
	"nyckel/nyckelsim/outage": {
		new(outage.Program),
	},
	"nyckel/nyckelsim/tape": {
		new(tape.Exchange), new(tape.Payload), new(tape.Player), new(tape.Recorder),
	},
	"nyckel/pin": {
		new(pin.By), new(pin.Cell), new(pin.Comparison), new(pin.Entry), new(pin.Gate), new(pin.Journal), new(pin.Memory),
		new(pin.Pair), new(pin.Proportion), new(pin.Refused), new(pin.Report), new(pin.Shadow), new(pin.ShadowConfig),
		new(pin.ShadowStats),
	},
	"nyckel/predictions": {
		new(predictions.Bin), new(predictions.Calibration), new(predictions.Confusion), new(predictions.Counts),
		new(predictions.Dialect), new(predictions.Drift), new(predictions.Entry), new(predictions.Erased),
		new(predictions.Group), new(predictions.LabelConfidence), new(predictions.LabelShare), new(predictions.Options),
		new(predictions.Performance), new(predictions.Prediction), new(predictions.Query), new(predictions.Scope),
		new(predictions.SourceShare), new(predictions.Span), new(predictions.Store), new(predictions.SubmitOptions),
		new(predictions.Submitted), new(predictions.Submitter), new(predictions.Truth), new(predictions.TruthRecord),
		new(predictions.Writer), new(predictions.WriterOptions), new(predictions.WriterStats),
	},
	"nyckel/predictions/report": {
		new(report.Options),
	},
	"policy": {
		new(policy.Adaptive), new(policy.Answer), new(policy.Backoff), new(policy.Breaker), new(policy.BreakerSnapshot),
		new(policy.Bucket), new(policy.Budget), new(policy.Cache), new(policy.Call), new(policy.ClassRetry),
		new(policy.Classification), new(policy.Condition), new(policy.Ejection), new(policy.Endpoint), new(policy.Error),
		new(policy.Event), new(policy.Explained), new(policy.Explanation), new(policy.Failover), new(policy.Failure),
		new(policy.Fallback), new(policy.Fault), new(policy.Faults), new(policy.Fidelity), new(policy.Hedge),
		new(policy.Limit), new(policy.Outcome), new(policy.Part), new(policy.Probe), new(policy.Quota),
		new(policy.Refusal), new(policy.RequestBodyError), new(policy.Responses), new(policy.Retry), new(policy.Rule), new(policy.Secret),
		new(policy.SettingError), new(policy.Similar), new(policy.Stack), new(policy.StreamError), new(policy.Streams),
		new(policy.Throttle), new(policy.Timeout), new(policy.TimeoutError), new(policy.Transition), new(policy.Verdict),
		new(policy.Worst),
	},
	"policy/body": {
		new(body.BufferRoom), new(body.Room), new(body.Snapshot),
	},
	"policy/config": {
		new(config.Error), new(config.Reader), new(config.Source),
	},
	"policy/words": {
		new(words.Scanner),
	},
	"telemetry": {
		new(telemetry.Activity), new(telemetry.Answer), new(telemetry.Attempt), new(telemetry.Branch),
		new(telemetry.BudgetSnapshot), new(telemetry.CacheSnapshot), new(telemetry.Config), new(telemetry.ConfigSnapshot),
		new(telemetry.EndpointSnapshot), new(telemetry.Event), new(telemetry.Events), new(telemetry.FidelitySnapshot),
		new(telemetry.FunctionSnapshot), new(telemetry.LimiterSnapshot), new(telemetry.Note), new(telemetry.QueueSnapshot),
		new(telemetry.Refused), new(telemetry.SecondSnapshot), new(telemetry.Snapshot), new(telemetry.ThrottleSnapshot),
		new(telemetry.Trail),
	},
	"telemetry/console": {
		new(console.Console), new(console.Options),
	},
	"transport": {
		new(transport.Breaker), new(transport.EndpointState), new(transport.Failover), new(transport.Faults),
		new(transport.Hedge), new(transport.Limiter), new(transport.LimiterState), new(transport.Live),
		new(transport.Throttle),
	},
	"transport/plan": {
		new(plan.Account), new(plan.Error), new(plan.File), new(plan.Function), new(plan.Live), new(plan.Options),
		new(plan.Pause), new(plan.Plan), new(plan.Queue), new(plan.Setting), new(plan.Work),
	},
	"transport/transporttest": {
		new(transporttest.Bodies), new(transporttest.Chunk), new(transporttest.Counter), new(transporttest.Failure),
		new(transporttest.Request), new(transporttest.Rule), new(transporttest.Server), new(transporttest.Upstream),
	},
	"transport/transporttest/providersim": {
		new(providersim.Completion), new(providersim.Config), new(providersim.Limit), new(providersim.Server),
		new(providersim.Stats),
	},
}

// elsewhere are those of modules of their own, which this one cannot import. None has
// a field for a secret: connection strings go to a func, and are not kept.
var elsewhere = map[string][]string{
	"nyckel/postgres":           {"DB", "Options", "Tx"},
	"nyckel/postgres/move":      {"Config", "Progress", "Report"},
	"nyckel/postgres/pgtest":    {"Server"},
	"nyckel/postgres/riverjobs": {"Engine", "Options"},
	"nyckel/sqlite":             {"Options"},
}

// asTheyCame are types that are an exchange as it came, for who handles those.
var asTheyCame = map[string]string{
	"transport/transporttest.Request": "what the upstream of a test was sent",
	"nyckel/nyckelsim/tape.Exchange":  "one of a recording, which leaves out credentials when it is made",
}

// TestExportedTypesAreKnown: a type that is new is listed here, and so looked at.
func TestExportedTypesAreKnown(t *testing.T) {
	listed := map[string][]string{}
	for folder, names := range elsewhere {
		listed[folder] = slices.Clone(names)
	}
	for folder, values := range exported {
		for _, value := range values {
			name, _, _ := strings.Cut(reflect.TypeOf(value).Elem().Name(), "[")
			listed[folder] = append(listed[folder], name)
		}
	}
	for folder := range listed {
		slices.Sort(listed[folder])
	}
	assert.Equal(t, exportedStructs(t, ".."), listed)
}

// exportedStructs returns the names of the exported struct types below root, by
// folder. Programs and internal packages export to nobody.
func exportedStructs(t *testing.T, root string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			switch base := entry.Name(); {
			case base == "internal", base == "testdata", base == "examples", name != root && strings.HasPrefix(base, "."):
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil || file.Name.Name == "main" {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(name))
		if err != nil {
			return err
		}
		folder = filepath.ToSlash(folder)
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && spec.Name.IsExported() && !slices.Contains(found[folder], spec.Name.Name) {
				if _, ok := spec.Type.(*ast.StructType); ok {
					found[folder] = append(found[folder], spec.Name.Name)
				}
			}
			_, inside := n.(*ast.FuncDecl)
			return !inside
		})
		return nil
	})
	require.NoError(t, err)
	for folder := range found {
		slices.Sort(found[folder])
	}
	return found
}

// TestExportedTypesHideSecrets fills every exported type, as deep as its exported
// fields go, with secrets where it has room for some: in a policy.Secret, in header
// fields, in the URL and the header of a request. However it is printed or written as
// JSON, none is to be seen; a policy.Secret not even in a field that is not exported,
// where fmt asks no method.
func TestExportedTypesHideSecrets(t *testing.T) {
	const canary = "c4n4ry"
	for folder, values := range exported {
		for _, value := range values {
			name := folder + "." + reflect.TypeOf(value).Elem().Name()
			if asTheyCame[name] != "" {
				continue
			}
			secrets := reflect.New(reflect.TypeOf(value).Elem())
			filler{canary, false}.fill(secrets.Elem(), 0)
			filler{canary, true}.fill(reflect.ValueOf(value).Elem(), 0)
			hidden := struct{ unexported any }{secrets.Elem().Interface()}
			for _, shown := range append(prints(value), fmt.Sprintf("%v %+v %#v %s", hidden, hidden, hidden, hidden)) {
				if at := strings.Index(shown, canary); at >= 0 {
					assert.Failf(t, "leaked", "%s: %q", name, shown[max(0, at-80):at+len(canary)])
				}
			}
		}
	}
}

// prints returns how fmt and JSON show the value to which p points.
func prints(p any) []string {
	v := reflect.ValueOf(p).Elem().Interface()
	all := []string{}
	for _, x := range []any{p, v, []any{v}, struct{ Field any }{v}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			all = append(all, fmt.Sprintf(verb, x))
		}
		text, _ := json.Marshal(x) // what cannot be written shows nothing
		all = append(all, string(text))
	}
	return all
}

// A filler puts secrets where they may be.
type filler struct {
	secret  string
	headers bool // and URLs and requests, beside what is marked as a secret
}

func (f filler) fill(v reflect.Value, depth int) {
	if depth > 6 || !v.CanSet() {
		return
	}
	if _, ok := v.Addr().Interface().(*policy.Secret); ok {
		v.Set(reflect.ValueOf(policy.NewSecret(f.secret)))
		return
	}
	if f.headers && f.fillOpen(v) {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i), depth+1)
		}
	case reflect.Pointer:
		if v.Type().Elem().Kind() == reflect.Struct && strings.HasPrefix(v.Type().Elem().PkgPath(), "github.com/sparekey/") {
			v.Set(reflect.New(v.Type().Elem()))
			f.fill(v.Elem(), depth+1)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Uint8 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			f.fill(v.Index(0), depth+1)
		}
	case reflect.Map:
		value := reflect.New(v.Type().Elem()).Elem()
		f.fill(value, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.Zero(v.Type().Key()), value)
	}
}

// fillOpen fills what holds secrets and was made to be read.
func (f filler) fillOpen(v reflect.Value) bool {
	switch v.Addr().Interface().(type) {
	case *http.Header:
		v.Set(reflect.ValueOf(http.Header{"Authorization": {"Bearer " + f.secret}, "X-Api-Key": {f.secret}, "Cookie": {f.secret}}))
	case **url.URL:
		v.Set(reflect.ValueOf(f.url()))
	case **http.Request:
		v.Set(reflect.ValueOf(&http.Request{
			Method: http.MethodPost, URL: f.url(), Header: http.Header{"Authorization": {f.secret}},
			Body: io.NopCloser(strings.NewReader(f.secret)),
		}))
	default:
		return false
	}
	return true
}

func (f filler) url() *url.URL {
	return &url.URL{Scheme: "https", Host: "api.test", Path: "/v1/x", User: url.UserPassword(f.secret, f.secret), RawQuery: "key=" + f.secret}
}
