package nyckelsim_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

// create makes a function and returns its path.
func (c *client) create(input, output string) string {
	c.t.Helper()
	made := c.must("POST", "/v1/functions", `{"name":"`+output+`","input":"`+input+`","output":"`+output+`"}`)
	return "/v1/functions/" + made.body["id"].(string)
}

// label creates a label and returns its id.
func (c *client) label(path, name string) string {
	c.t.Helper()
	return c.must("POST", path+"/labels", `{"name":"`+name+`"}`).body["id"].(string)
}

// form sends a form; the part data is a file.
func (c *client) form(path string, parts map[string]string) answer {
	c.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name, value := range parts {
		part, err := w.CreateFormField(name)
		require.NoError(c.t, err)
		part.Write([]byte(value))
	}
	require.NoError(c.t, w.Close())
	req := httptest.NewRequest("POST", path, &body)
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", w.FormDataContentType())
	return serve(c.t, c.sim, req)
}

// canvas is a white picture with rectangles in a colour.
func canvas(c color.Color, boxes ...image.Rectangle) []byte {
	p := image.NewRGBA(image.Rect(0, 0, 200, 100))
	draw.Draw(p, p.Bounds(), image.White, image.Point{}, draw.Src)
	for _, box := range boxes {
		draw.Draw(p, box, image.NewUniform(c), image.Point{}, draw.Src)
	}
	return encode(p)
}

func encode(p image.Image) []byte {
	var file bytes.Buffer
	if err := png.Encode(&file, p); err != nil {
		panic(err)
	}
	return file.Bytes()
}

func uri(file []byte) string {
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(file)
}

var red, blue = color.RGBA{200, 20, 20, 255}, color.RGBA{20, 20, 200, 255}

func TestImageClassification(t *testing.T) {
	c := newClient(t, nyckelsim.Config{Rate: -1})
	path := c.create("Image", "Classification")
	for name, colour := range map[string]color.Color{"red": red, "blue": blue} {
		c.label(path, name)
		for i := range 3 {
			at := image.Rect(10*i, 10*i, 60+10*i, 60+10*i)
			c.must("POST", path+"/samples", `{"data":"`+uri(canvas(colour, at))+`","annotation":{"labelName":"`+name+`"}}`)
		}
	}
	unseen := image.Rect(25, 5, 90, 70)
	for name, colour := range map[string]color.Color{"red": red, "blue": blue} {
		file := canvas(colour, unseen)
		got := c.must("POST", path+"/invoke", `{"data":"`+uri(file)+`"}`)
		assert.Equal(t, name, got.body["labelName"])
		assert.Greater(t, got.body["confidence"], 0.6)
		assert.Equal(t, got.body, c.form(path+"/invoke", map[string]string{"data": string(file)}).body, "as a form")
	}
	assert.Len(t, c.must("GET", path+"/samples?origin=InvokeCapture", "").list, 2, "equal pictures are one sample")
}

func TestImagesAreProcessed(t *testing.T) {
	c := newClient(t, nyckelsim.Config{Rate: -1})
	path := c.create("Image", "Classification")
	sent := uri(encode(image.NewGray(image.Rect(0, 0, 2000, 3))))
	made := c.must("POST", path+"/samples", `{"data":"`+sent+`"}`)
	kept := made.body["data"].(string)
	assert.True(t, strings.HasPrefix(kept, "data:image/jpeg;base64,"))
	file, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(kept, "data:image/jpeg;base64,"))
	require.NoError(t, err)
	header, _, err := image.DecodeConfig(bytes.NewReader(file))
	require.NoError(t, err)
	assert.Equal(t, []int{512, 1}, []int{header.Width, header.Height})

	again := c.do("POST", path+"/samples", `{"data":"`+sent+`"}`)
	assert.Equal(t, 409, again.status)
	assert.Equal(t, made.body["id"], again.body["existingSampleId"])
}

// hugePNG is a small file whose header says that it is width by height.
func hugePNG(width, height uint32) []byte {
	file := encode(image.NewGray(image.Rect(0, 0, 1, 1)))
	header := file[12 : 12+4+13]
	binary.BigEndian.PutUint32(header[4:], width)
	binary.BigEndian.PutUint32(header[8:], height)
	binary.BigEndian.PutUint32(file[12+4+13:], crc32.ChecksumIEEE(header))
	return file
}

func TestWrongImages(t *testing.T) {
	c := newClient(t, nyckelsim.Config{Rate: -1})
	path := c.create("Image", "Classification")
	whole := canvas(red)
	tests := map[string]string{
		"bare base64":         `"` + base64.StdEncoding.EncodeToString(whole) + `"`,
		"no image":            `"` + uri([]byte("hello")) + `"`,
		"cut off":             `"` + uri(whole[:len(whole)/2]) + `"`,
		"header only":         `"` + uri(whole[:40]) + `"`,
		"huge by its header":  `"` + uri(hugePNG(100000, 100000)) + `"`,
		"a row of all pixels": `"` + uri(hugePNG(1<<31-1, 1)) + `"`,
		"not base64":          `"data:image/png;base64,###"`,
		"another kind":        `"data:text/plain;base64,aGVsbG8="`,
		"no comma":            `"data:image/png;base64"`,
		"URL":                 `"http://example.com/cat.jpg"`,
		"file URL":            `"file:///etc/passwd"`,
		"number":              `1`,
		"object":              `{"size":0}`,
		"null":                `null`,
		"empty":               `""`,
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			for _, call := range []string{"/invoke", "/samples"} {
				got := c.do("POST", path+call, `{"data":`+data+`}`)
				assert.Equal(t, 400, got.status, got.raw)
				assert.NotEmpty(t, got.message())
			}
		})
	}
}

// fetched answers a request for an image.
type fetched func(*http.Request) (*http.Response, error)

func (f fetched) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestImageByURL(t *testing.T) {
	fetch := fetched(func(req *http.Request) (*http.Response, error) {
		rec := httptest.NewRecorder()
		switch req.URL.Path {
		case "/ok.png":
			rec.Write(canvas(red))
		case "/large.png":
			rec.Write(make([]byte, 1<<16+1))
		case "/moved.png":
			http.Redirect(rec, req, "/ok.png", http.StatusFound)
		default:
			return nil, assert.AnError
		}
		return rec.Result(), nil
	})
	c := newClient(t, nyckelsim.Config{Rate: -1, Fetch: fetch, MaxBody: 1 << 16})
	path := c.create("Image", "Search")
	for name, want := range map[string]int{"ok": 200, "large": 400, "moved": 400, "missing": 400} {
		got := c.do("POST", path+"/samples", `{"data":"https://images.example/`+name+`.png"}`)
		assert.Equal(t, want, got.status, got.raw)
	}
	assert.Equal(t, 409, c.do("POST", path+"/samples", `{"data":"`+uri(canvas(red))+`"}`).status, "the same picture")
}

func TestForms(t *testing.T) {
	c := newClient(t, nyckelsim.Config{Rate: -1})
	path := c.create("Text", "Classification")
	label := c.label(path, "refund")
	for i, name := range []string{"annotation.labelName", "labelName", "annotation.labelId", "labelId"} {
		value := "refund"
		if strings.HasSuffix(name, "Id") {
			value = label
		}
		got := c.form(path+"/samples", map[string]string{
			[]string{"data", "file", "fileName", "filename"}[i]: fmt.Sprint("text ", i), "externalId": "e", name: value, "other": "x",
		})
		require.Equal(t, 200, got.status, got.raw)
		assert.Equal(t, fmt.Sprint("text ", i), got.body["data"])
		assert.Equal(t, "e", got.body["externalId"])
		assert.Equal(t, map[string]any{"labelId": label}, got.body["annotation"])
	}
	assert.Equal(t, 200, c.form(path+"/invoke", map[string]string{"data": "unseen", "capture": "false"}).status)
	assert.Len(t, c.must("GET", path+"/samples", "").list, 4)
	for name, parts := range map[string]map[string]string{
		"no file":   {"externalId": "e"},
		"two files": {"data": "x", "file": "y"},
		"empty":     {"data": ""},
		"no UTF-8":  {"data": "\xff"},
		"bad value": {"data": "x", "externalId": "\xff"},
		"bad label": {"data": "x", "labelName": "nobody's"},
	} {
		assert.Equal(t, 400, c.form(path+"/samples", parts).status, name)
	}
	many := map[string]string{"data": "x"}
	for i := range 40 {
		many[fmt.Sprint("part ", i)] = ""
	}
	assert.Equal(t, 400, c.form(path+"/samples", many).status)
}

func TestTabular(t *testing.T) {
	c := newClient(t, nyckelsim.Config{Rate: -1})
	path := c.create("Tabular", "Classification")
	var ids []string
	for _, body := range []string{`{"name":"subject","type":"Text"}`, `{"name":"amount","type":"number"}`, `{"name":"photo","type":"Image"}`} {
		made := c.must("POST", path+"/fields", body).body
		ids = append(ids, made["id"].(string))
		assert.Equal(t, made, c.must("GET", path+"/fields/"+strings.TrimPrefix(ids[len(ids)-1], "field_"), "").body)
	}
	assert.Equal(t, []any{"Text", "Number", "Image"}, pluck(c.must("GET", path+"/fields", "").list, "type"))

	for _, name := range []string{"small", "large"} {
		c.label(path, name)
	}
	for i := range 4 {
		c.must("POST", path+"/samples", fmt.Sprintf(`{"data":{"amount":%d},"annotation":{"labelName":"small"}}`, 10+i))
		c.must("POST", path+"/samples", fmt.Sprintf(`{"data":{"amount":%d},"annotation":{"labelName":"large"}}`, 1000+i))
	}
	got := c.must("POST", path+"/invoke", `{"data":{"subject":"unlike any","amount":15,"photo":"`+uri(canvas(red))+`"}}`)
	assert.Equal(t, "small", got.body["labelName"])
	got = c.must("POST", path+"/invoke", `{"data":{"`+ids[1]+`":990}}`)
	assert.Equal(t, "large", got.body["labelName"])

	made := c.must("POST", path+"/samples", `{"data":{"subject":"<x>","amount":0.5}}`)
	assert.Equal(t, map[string]any{ids[0]: "<x>", ids[1]: 0.5}, made.body["data"], "keyed by id")
	again := c.do("POST", path+"/samples", `{"data":{"`+ids[1]+`":5e-1,"subject":"<x>","photo":null}}`)
	assert.Equal(t, made.body["id"], again.body["existingSampleId"], "the same by another spelling")

	for _, data := range []string{
		`{}`, `"text"`, `[]`, `{"amount":"12"}`, `{"amount":true}`, `{"subject":12}`, `{"nothing":"x"}`, `{"photo":"x"}`,
		`{"subject":null}`, `{"amount":1,"` + ids[1] + `":1}`, `{"amount":1e999}`, `null`,
	} {
		assert.Equal(t, 400, c.do("POST", path+"/invoke", `{"data":`+data+`}`).status, data)
	}
	assert.Equal(t, 400, c.form(path+"/invoke", map[string]string{"data": `{"amount":1}`}).status)
}

func TestFields(t *testing.T) {
	c := newClient(t, nyckelsim.Config{Rate: -1})
	path := c.create("Tabular", "Classification")
	photo := c.must("POST", path+"/fields", `{"name":"photo","type":"Image"}`).body["id"].(string)
	tests := []struct {
		body string
		want int
	}{
		{`{"name":"photo","type":"Text"}`, 409},
		{`{"name":"other","type":"Image"}`, 400},
		{`{"name":"x","type":"Date"}`, 400},
		{`{"name":" ","type":"Text"}`, 400},
		{`{"type":"Text"}`, 400},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, c.do("POST", path+"/fields", tt.body).status, tt.body)
	}
	assert.Equal(t, 400, c.do("POST", c.create("Text", "Tags")+"/fields", `{"name":"x","type":"Text"}`).status)
	c.must("DELETE", path+"/fields/"+photo, "")
	assert.Equal(t, 404, c.do("GET", path+"/fields/"+photo, "").status)
	assert.Equal(t, 404, c.do("DELETE", path+"/fields/"+photo, "").status)
	assert.Equal(t, 405, c.do("PUT", path+"/fields/"+photo, `{}`).status, "no update is known")
	c.must("POST", path+"/fields", `{"name":"other","type":"Image"}`)
}

func TestTags(t *testing.T) {
	c := newClient(t, nyckelsim.Config{Rate: -1})
	path := strings.Replace(c.create("Text", "Tags"), "/v1/", "/v0.9/", 1)
	v1 := strings.Replace(path, "/v0.9/", "/v1/", 1)
	late, rude := c.label(v1, "late"), c.label(v1, "rude")
	assert.Equal(t, []any{"late"}, pluck(c.must("POST", path+"/invoke", `{"data":"it is late"}`).list, "labelName"), "by names")

	made := c.must("POST", path+"/samples", `{"data":"x","annotation":[{"labelName":"rude","present":true}]}`)
	want := []any{map[string]any{"labelId": late, "present": false}, map[string]any{"labelId": rude, "present": true}}
	assert.Equal(t, want, made.body["annotation"], "what is left out is not there")
	for i := range 4 {
		for _, body := range []string{
			`{"data":"the parcel came too slowly %d","annotation":[{"labelName":"late"},{"labelId":"` + rude + `","present":false}]}`,
			`{"data":"the clerk shouted at us %d","annotation":[{"labelName":"rude"}]}`,
			`{"data":"the parcel came too slowly and the clerk shouted %d","annotation":[{"labelName":"late"},{"labelName":"rude"}]}`,
			`{"data":"all was fine and friendly %d","annotation":[]}`,
		} {
			c.must("POST", path+"/samples", fmt.Sprintf(body, i))
		}
	}
	ask := func(text string) []map[string]any {
		got := c.must("POST", path+"/invoke", `{"data":"`+text+`"}`)
		require.NotNil(t, got.list, "an array, if need be an empty one")
		return got.list
	}
	assert.Equal(t, []any{"late"}, pluck(ask("my parcel came so slowly"), "labelName"))
	assert.ElementsMatch(t, []any{"late", "rude"}, pluck(ask("parcel came slowly, clerk shouted"), "labelName"))
	assert.Empty(t, ask("fine and friendly"))
	assert.Equal(t, ask("my parcel came so slowly"), c.must("POST", v1+"/invoke", `{"data":"my parcel came so slowly"}`).list)

	captured := c.must("GET", path+"/samples?predictionLabelId="+late+"&annotated=false&searchText=my+parcel", "").list
	require.Len(t, captured, 1)
	assert.Equal(t, late, captured[0]["prediction"].([]any)[0].(map[string]any)["labelId"])
	put := c.must("PUT", path+"/samples/"+captured[0]["id"].(string)+"/annotation", `[{"labelName":"late","present":true}]`)
	assert.Len(t, put.list, 2)
	for _, bad := range []string{`{"labelName":"late"}`, `[{"present":true}]`, `[{"labelName":"late"},{"labelId":"` + late + `"}]`, `"late"`, ``} {
		assert.Equal(t, 400, c.do("PUT", path+"/samples/"+captured[0]["id"].(string)+"/annotation", bad).status, bad)
	}
	c.must("DELETE", v1+"/labels/"+late, "")
	left := c.must("GET", path+"/samples/"+captured[0]["id"].(string), "").body
	assert.Equal(t, []any{map[string]any{"labelId": rude, "present": false}}, left["annotation"])
	assert.NotContains(t, left, "prediction")
}

func TestSearch(t *testing.T) {
	c := newClient(t, nyckelsim.Config{Rate: -1})
	path := c.create("Text", "Search")
	id := strings.TrimPrefix(path, "/v1/functions/")
	for i, text := range []string{"where is my parcel", "the parcel is late", "give me a refund", "refund my money now"} {
		c.must("POST", path+"/samples", fmt.Sprintf(`{"data":"%s","externalId":"e%d"}`, text, i))
	}
	bare := c.must("POST", "/v1/search-functions/"+id+"/invoke?sampleCount=2", `{"data":"give me a refund"}`).list
	require.Len(t, bare, 2)
	assert.Equal(t, []any{"e2", "e3"}, pluck(bare, "externalId"))
	assert.Equal(t, "give me a refund", bare[0]["data"])
	assert.Zero(t, bare[0]["distance"], "the item itself comes first")
	assert.Greater(t, bare[1]["distance"], 0.01)

	bySample := c.must("POST", "/v1/search-functions/"+id+"/invoke?includeData=false", `{"sampleId":"`+bare[1]["sampleId"].(string)+`"}`).list
	require.Len(t, bySample, 4)
	assert.Equal(t, bare[1]["sampleId"], bySample[0]["sampleId"])
	assert.NotContains(t, bySample[0], "data")
	withNull := c.must("POST", "/v1/search-functions/"+id+"/invoke?includeData=false", `{"sampleId":"`+bare[1]["sampleId"].(string)+`","data":null}`).list
	assert.Equal(t, bySample, withNull, "null is no data")

	v1 := c.must("POST", path+"/search", `{"data":"give me a refund"}`).body["searchSamples"].([]any)
	assert.Equal(t, map[string]any{"sampleId": bare[0]["sampleId"], "distance": 0.0}, v1[0])
	old := c.must("POST", "/v0.9/functions/"+id+"/search?sampleCount=1", `{"data":"give me a refund"}`).body["searchSamples"].([]any)
	require.Len(t, old, 1)
	assert.Equal(t, "e2", old[0].(map[string]any)["externalId"])

	assert.Len(t, c.must("GET", path+"/samples", "").list, 4, "a search is not captured")
	for _, call := range [][2]string{
		{"/v1/search-functions/" + id + "/invoke", `{}`},
		{"/v1/search-functions/" + id + "/invoke?sampleCount=x", `{"data":"x"}`},
		{path + "/invoke", `{"data":"x"}`},
		{c.create("Text", "Tags") + "/search", `{"data":"x"}`},
	} {
		assert.Equal(t, 400, c.do("POST", call[0], call[1]).status, call)
	}
	assert.Equal(t, 404, c.do("POST", path+"/search", `{"sampleId":"sample_0"}`).status)
	assert.Empty(t, c.must("POST", c.create("Text", "Search")+"/search", `{"data":"x"}`).body["searchSamples"])
}

// A length rounded up or down moves nothing away from itself, nor nearer than that.
func TestSearchDistanceIsRounded(t *testing.T) {
	c := newClient(t, nyckelsim.Config{Rate: -1})
	path := c.create("Text", "Search")
	nearest := func(text string) any {
		return c.must("POST", path+"/search?sampleCount=1", fmt.Sprintf(`{"data":%q}`, text)).body["searchSamples"].([]any)[0].(map[string]any)["distance"]
	}
	text := "one"
	for _, word := range []string{"two", "three", "four", "five", "six", "seven", "eight", "nine"} {
		text += " " + word
		c.must("POST", path+"/samples", fmt.Sprintf(`{"data":%q}`, text))
		assert.Zero(t, nearest(text), text)
		assert.GreaterOrEqual(t, nearest(text+"!"), 0.0, text)
	}
	c.must("POST", path+"/samples", `{"data":"again again"}`)
	assert.Less(t, nearest("again again again"), 1e-6, "a word counts once")
}

func TestImageSearch(t *testing.T) {
	c := newClient(t, nyckelsim.Config{Rate: -1})
	path := c.create("Image", "Search")
	for name, file := range map[string][]byte{
		"red": canvas(red, image.Rect(10, 10, 60, 60)), "blue": canvas(blue, image.Rect(10, 10, 60, 60)), "white": canvas(red),
	} {
		require.Equal(t, 200, c.form(path+"/samples", map[string]string{"data": string(file), "externalId": name}).status)
	}
	got := c.form(strings.Replace(path, "/v1/", "/v0.9/", 1)+"/search?sampleCount=1", map[string]string{"data": string(canvas(red, image.Rect(12, 8, 60, 60)))})
	assert.Equal(t, "red", got.body["searchSamples"].([]any)[0].(map[string]any)["externalId"])
}

func TestBoxes(t *testing.T) {
	c := newClient(t, nyckelsim.Config{Rate: -1})
	file := canvas(red, image.Rect(20, 10, 120, 60), image.Rect(150, 70, 190, 90))
	two := []any{
		map[string]any{"labelName": "BoxDetect", "confidence": 1.0, "boundingBox": map[string]any{"x": 0.1, "y": 0.1, "width": 0.5, "height": 0.5}},
		map[string]any{"labelName": "BoxDetect", "confidence": 1.0, "boundingBox": map[string]any{"x": 0.75, "y": 0.7, "width": 0.2, "height": 0.2}},
	}
	path := c.create("Image", "BoxDetect")
	invoke := func(path string) answer {
		return c.must("POST", path+"/invoke", `{"data":"`+uri(file)+`"}`)
	}
	assert.Equal(t, map[string]any{"predictions": []any{}}, invoke(path).body, "nothing before training")
	model, err := c.sim.Train(strings.TrimPrefix(path, "/v1/functions/"))
	require.NoError(t, err)
	found := invoke(path).body["predictions"].([]any)
	require.Len(t, found, 2)
	for i, box := range found {
		got, want := box.(map[string]any), two[i].(map[string]any)
		assert.Equal(t, want["labelName"], got["labelName"])
		assert.InDelta(t, want["confidence"], got["confidence"], 0.1)
		for side, value := range want["boundingBox"].(map[string]any) {
			assert.InDelta(t, value, got["boundingBox"].(map[string]any)[side], 0.02, side)
		}
	}
	assert.Equal(t, 200, c.do("POST", path+"/invoke?modelId="+model, `{"data":"`+uri(file)+`"}`).status)
	assert.Equal(t, 400, c.do("POST", path+"/invoke?modelId=x", `{"data":"`+uri(file)+`"}`).status)
	assert.Equal(t, 400, c.do("POST", path+"/samples", `{"data":"`+uri(canvas(blue))+`","annotation":{"labelName":"x"}}`).status)

	path = c.create("Image", "Detection")
	assert.Empty(t, invoke(path).list)
	_, err = c.sim.Train(strings.TrimPrefix(path, "/v1/functions/"))
	require.NoError(t, err)
	assert.Len(t, invoke(path).list, 2, "a bare array")

	path = c.create("Image", "Localization")
	_, err = c.sim.Train(strings.TrimPrefix(path, "/v1/functions/"))
	require.NoError(t, err)
	got := c.form(strings.Replace(path, "/v1/", "/v0.9/", 1)+"/locate", map[string]string{"data": string(file)}).list
	require.Len(t, got, 2)
	point := got[0]["points"].([]any)[0].(map[string]any)
	assert.InDelta(t, 0.35, point["x"], 0.02)
	assert.InDelta(t, 0.35, point["y"], 0.02)
	assert.Equal(t, got, invoke(path).list)
}

// withComment adds a text to a PNG.
func withComment(file []byte, text string) []byte {
	chunk := append([]byte("tEXtComment\x00"), text...)
	made := append([]byte{}, file[:33]...) // signature and header
	made = binary.BigEndian.AppendUint32(made, uint32(len(chunk)-4))
	made = append(made, chunk...)
	made = binary.BigEndian.AppendUint32(made, crc32.ChecksumIEEE(chunk))
	return append(made, file[33:]...)
}

func TestOCR(t *testing.T) {
	c := newClient(t, nyckelsim.Config{Rate: -1})
	path := c.create("Image", "Ocr")
	old := strings.Replace(path, "/v1/", "/v0.9/", 1)
	file := withComment(withComment(canvas(red), "total 12.50"), "Caf\xe9")
	got := c.form(old+"/ocr", map[string]string{"data": string(file)})
	assert.Equal(t, map[string]any{"text": "Café\ntotal 12.50"}, got.body)
	got = c.form(old+"/ocr?includeRegions=true", map[string]string{"data": string(file)})
	assert.Len(t, got.body["regions"], 2)
	assert.Equal(t, map[string]any{"text": ""}, c.must("POST", path+"/invoke", `{"data":"`+uri(canvas(red))+`"}`).body)
	assert.Equal(t, 400, c.do("POST", old+"/locate", `{"data":"`+uri(file)+`"}`).status)
	assert.Equal(t, 400, c.do("POST", old+"/ocr?includeRegions=perhaps", `{"data":"`+uri(file)+`"}`).status)
}

func TestNumbersFarOff(t *testing.T) {
	c := newClient(t, nyckelsim.Config{Rate: -1})
	path := c.create("Tabular", "Tags")
	c.must("POST", path+"/fields", `{"name":"n","type":"Number"}`)
	for _, name := range []string{"low", "high"} {
		c.label(path, name)
	}
	for i := range 3 {
		c.must("POST", path+"/samples", fmt.Sprintf(`{"data":{"n":%d},"annotation":[{"labelName":"low"}]}`, i))
		c.must("POST", path+"/samples", fmt.Sprintf(`{"data":{"n":%d},"annotation":[{"labelName":"high"}]}`, 10+i))
	}
	for n, want := range map[string]any{"-1e300": "low", "1e300": "high", "12": "high"} {
		got := c.must("POST", path+"/invoke", `{"data":{"n":`+n+`}}`).list
		require.Len(t, got, 1)
		assert.Equal(t, want, got[0]["labelName"])
	}
	c.must("POST", path+"/samples", `{"data":{"n":-1e308},"annotation":[{"labelName":"low"}]}`)
	c.must("POST", path+"/invoke", `{"data":{"n":1e308}}`) // and with no infinity or NaN, which JSON cannot have
}
