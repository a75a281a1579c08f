package nyckel_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

// newClient returns a client of a simulated account.
func newClient(sim http.Handler, options ...nyckel.Option) *nyckel.Client {
	client, err := nyckel.New(append([]nyckel.Option{
		nyckel.WithBaseURL("http://simulator.test"),
		nyckel.WithHTTPClient(inMemory(sim)),
		nyckel.WithCredentials("sim-client", "sim-secret"),
	}, options...)...)
	if err != nil {
		panic(err)
	}
	return client
}

// One outcome for each input, in their order; a text that cannot be asked about does
// not keep the others from it.
func ExampleClient_InvokeAll() {
	sim, id := newSimulator()
	client := newClient(sim, nyckel.WithFunction("ticket_routing", nyckel.Function{ID: id}))
	inputs := []nyckel.Input{nyckel.Text("Where is my parcel?"), nyckel.Text(""), nyckel.Text("You charged me twice")}
	outcomes, err := client.InvokeAll(context.Background(), "ticket_routing", inputs,
		nyckel.Each(func(i int) []nyckel.InvokeOption {
			return []nyckel.InvokeOption{nyckel.ExternalID(fmt.Sprintf("ticket-%d", i))}
		}),
		nyckel.Progress(func(done, failed, total int) {
			if done == total {
				fmt.Printf("%d of %d done, %d failed\n", done, total, failed)
			}
		}))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, o := range outcomes {
		if o.Err != nil {
			fmt.Println(o.Err)
			continue
		}
		fmt.Println(o.Prediction.LabelName, o.Prediction.ExternalID)
	}
	// Output:
	// 3 of 3 done, 1 failed
	// delivery ticket-0
	// nyckel: input 1: the text is empty
	// billing ticket-2
}

// What has turned out to be true becomes training data.
func ExampleClient_Function() {
	sim, id := newSimulator()
	client := newClient(sim, nyckel.WithFunction("ticket_routing", nyckel.Function{ID: id}))
	ctx := context.Background()
	if _, err := client.Invoke(ctx, "ticket_routing", nyckel.Text("My card was stolen"), nyckel.ExternalID("ticket-7")); err != nil {
		fmt.Println(err)
		return
	}
	function, err := client.Function("ticket_routing")
	if err != nil {
		fmt.Println(err)
		return
	}
	labels, err := function.EnsureLabels(ctx, "security")
	if err != nil {
		fmt.Println(err)
		return
	}
	sample, err := function.SampleByExternalID(ctx, "ticket-7")
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := function.Annotate(ctx, sample.ID, nyckel.Annotation{LabelID: labels[0].ID}); err != nil {
		fmt.Println(err)
		return
	}
	for s, err := range function.Samples(ctx, nyckel.SampleFilter{AnnotationLabelID: labels[0].ID}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(string(s.Data), s.ExternalID)
	}
	// Output: "My card was stolen" ticket-7
}

func ExampleClient_FunctionByID() {
	client := newClient(nyckelsim.New(nyckelsim.Config{}))
	ctx := context.Background()
	made, err := client.CreateFunction(ctx, nyckel.NewFunction{
		Name: "houses", Input: nyckel.InputTabular, Output: nyckel.OutputClassification,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	function := client.FunctionByID(made.ID)
	if _, err := function.CreateField(ctx, "Rooms", nyckel.FieldNumber); err != nil {
		fmt.Println(err)
		return
	}
	_, err = function.CreateSample(ctx, nyckel.NewSample{Input: nyckel.Tabular{"Room": 3}})
	fmt.Println(err)
	// Output: nyckel: create a sample: unknown field: "Room"; there are: Rooms
}

// A diary writes down every prediction.
type diary struct{}

func (diary) RecordPrediction(_ context.Context, r nyckel.Record) {
	if r.Err != nil {
		fmt.Println(r.Function, "failed:", r.Err)
		return
	}
	fmt.Printf("%s: %s is %s\n", r.Function, r.Input, r.Prediction.LabelName)
}

func ExampleWithRecorder() {
	sim, id := newSimulator()
	client := newClient(sim, nyckel.WithFunction("ticket_routing", nyckel.Function{ID: id}), nyckel.WithRecorder(diary{}))
	if _, err := client.Invoke(context.Background(), "ticket_routing", nyckel.Text("Where is my parcel?")); err != nil {
		fmt.Println(err)
	}
	// Output: ticket_routing: "Where is my parcel?" is delivery
}

// A client that may wait for nobody is refused what exceeds the account's limit.
func ExampleWithLimit() {
	sim, id := newSimulator()
	client := newClient(sim, nyckel.WithFunction("ticket_routing", nyckel.Function{ID: id}),
		nyckel.WithLimit(policy.Limit{PerSecond: 0.1, MaxWait: -1}))
	for range 2 {
		_, err := client.Invoke(context.Background(), "ticket_routing", nyckel.Text("Where is my parcel?"))
		fmt.Println(errors.Is(err, transport.ErrLimited))
	}
	// Output:
	// false
	// true
}

func ExampleClient_Tag() {
	client := newClient(answering(`[{"labelName":"urgent","confidence":0.75},{"labelName":"angry","confidence":0.5}]`),
		nyckel.WithFunction("mood", nyckel.Function{ID: "function_0123456789abcdef"}))
	tags, err := client.Tag(context.Background(), "mood", nyckel.Text("I want my money NOW"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, l := range tags.Labels {
		fmt.Println(l.LabelName, l.Confidence)
	}
	// Output:
	// urgent 0.75
	// angry 0.5
}

func ExampleClient_Detect() {
	client := newClient(answering(`{"predictions":[{"labelName":"car","confidence":0.75,"boundingBox":{"x":0.1,"y":0.2,"width":0.5,"height":0.25}}]}`),
		nyckel.WithFunction("cars", nyckel.Function{ID: "function_0123456789abcdef"}))
	found, err := client.Detect(context.Background(), "cars", nyckel.ImageURL("https://pictures.test/street.jpg"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, o := range found.Objects {
		fmt.Printf("%s %+v\n", o.LabelName, o.Box)
	}
	// Output: car {X:0.1 Y:0.2 Width:0.5 Height:0.25}
}

func ExampleClient_Search() {
	client := newClient(answering(`[{"sampleId":"sample_1","externalId":"photo-1","distance":0.01}]`),
		nyckel.WithFunction("alike", nyckel.Function{ID: "function_0123456789abcdef"}))
	found, err := client.Search(context.Background(), "alike", nyckel.SampleID("sample_2"), nyckel.SampleCount(1), nyckel.IncludeData(false))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(found.Samples[0].ExternalID, found.Samples[0].Distance)
	// Output: photo-1 0.01
}

func ExampleClient_ReadText() {
	client := newClient(answering(`{"text":"STOP"}`), nyckel.WithFunction("signs", nyckel.Function{ID: "function_0123456789abcdef"}))
	reading, err := client.ReadText(context.Background(), "signs", nyckel.ImageURL("https://pictures.test/sign.jpg"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(reading.Text)
	// Output: STOP
}

func ExampleClient_Locate() {
	client := newClient(answering(`[{"points":[{"x":0.5,"y":0.25,"confidence":0.75}]}]`),
		nyckel.WithFunction("screws", nyckel.Function{ID: "function_0123456789abcdef"}))
	found, err := client.Locate(context.Background(), "screws", nyckel.ImageURL("https://pictures.test/plate.jpg"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(found.Objects[0].Points)
	// Output: [{0.5 0.25 0.75}]
}

// Images come from where they are; what is no image is found out before it is sent.
func ExampleImage() {
	client := newClient(answering(`{"labelName":"cat","confidence":0.75}`),
		nyckel.WithFunction("pets", nyckel.Function{ID: "function_0123456789abcdef"}))
	page := []byte("<html>")
	for _, input := range []nyckel.Image{
		nyckel.ImageURL("https://pictures.test/cat.jpg"),
		nyckel.ImageDataURI("data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"),
		nyckel.ImageFile("no-such-cat.jpg"),
		nyckel.ImageBytes(page),
		nyckel.ImageReader(strings.NewReader("")),
	} {
		prediction, err := client.Invoke(context.Background(), "pets", input)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(prediction.LabelName)
	}
	// Output:
	// cat
	// cat
	// nyckel: image "no-such-cat.jpg": no such file or directory
	// nyckel: image: it is no JPEG, PNG or GIF; convert it, or give its URL
	// nyckel: image: it has no bytes
}

func ExampleTabularOf() {
	row, err := nyckel.TabularOf(struct {
		Street string
		Rooms  float64 `nyckel:"Number of rooms"`
	}{"Main St", 3.5})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(row)
	// Output: map[Number of rooms:3.5 Street:Main St]
}

func ExampleSameID() {
	fmt.Println(nyckel.SameID("sample_0123456789abcdef", "0123456789abcdef"))
	// Output: true
}

// answering is a service that always gives one answer.
func answering(answer string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/connect/token") {
			answer := `{"access_token":"token","expires_in":3600}`
			fmt.Fprint(w, answer)
			return
		}
		fmt.Fprint(w, answer)
	})
}
