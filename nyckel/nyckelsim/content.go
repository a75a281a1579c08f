package nyckelsim

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"unicode/utf8"
)

// A content is the body of a call that brings data: a JSON object, or a form of
// which one part is a file.
type content struct {
	Data       json.RawMessage `json:"data"`
	SampleID   string          `json:"sampleId"` // in place of data, to search
	ExternalID string          `json:"externalId"`
	Annotation json.RawMessage `json:"annotation"`
	SampleSets []sampleSetJSON `json:"sampleSets"`
	Metadata   map[string]any  `json:"metadata"` // checked only

	file    []byte // of a form, in place of Data
	capture string // of a form
}

type sampleSetJSON struct {
	ID string `json:"sampleSetId"`
}

// maxParts bounds a form: none is known that has more than five.
const maxParts = 32

// fileParts are the names under which clients send the file of a form.
var fileParts = []string{"data", "file", "fileName", "filename"}

// parseContent reads a body of the request, whose header tells its form.
func parseContent(r *http.Request, body []byte) (content, error) {
	var c content
	kind, parameters, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind == "multipart/form-data" {
		return c, c.parseForm(multipart.NewReader(bytes.NewReader(body), parameters["boundary"]))
	}
	return c, decode(body, &c)
}

// parseForm reads the parts of a form. Those of unknown names are passed over.
func (c *content) parseForm(form *multipart.Reader) error {
	var truth annotationJSON
	for range maxParts {
		part, err := form.NextRawPart()
		if err == io.EOF { //nolint:errorlint // as it is, unless the form broke off
			return c.finishForm(truth)
		}
		if err != nil {
			return badRequest("The form is broken: %v.", err)
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return badRequest("The form is broken: %v.", err)
		}
		name := part.FormName()
		if slices.Contains(fileParts, name) {
			if c.file != nil {
				return badRequest("The form has two files.")
			}
			c.file = append([]byte{}, value...) // not nil, if empty
			continue
		}
		if !utf8.Valid(value) {
			return badRequest("The form's part %q is not valid UTF-8.", name)
		}
		switch name {
		case "externalId":
			c.ExternalID = string(value)
		case "annotation.labelName", "labelName":
			truth.LabelName = string(value)
		case "annotation.labelId", "labelId":
			truth.LabelID = string(value)
		case "capture":
			c.capture = string(value)
		}
	}
	return badRequest("The form has more than %d parts.", maxParts)
}

func (c *content) finishForm(truth annotationJSON) (err error) {
	if c.file == nil {
		return badRequest(`The form has no part "data".`)
	}
	if truth != (annotationJSON{}) {
		c.Annotation, err = marshal(truth)
	}
	return err
}
