package nyckel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/sparekey/sparekey/policy"
)

// A question is a call that is ready to be made, more than once if need be.
type question struct {
	kind     *kind
	function *function
	call     callOptions
	url      string
	body     []byte
	data     []byte // the JSON of the input, in body
}

// newQuestion prepares a call. Its errors say what makes no sense.
func (c *Client) newQuestion(ctx context.Context, k *kind, name string, input Input, options []InvokeOption) (*question, error) {
	f, err := c.function(name)
	if err != nil {
		return nil, err
	}
	call := c.defaults
	call.model = c.modelOf(f)
	for _, option := range options {
		option.applyToCall(&call)
	}
	if err := call.validate(); err != nil {
		return nil, err
	}
	if !k.predicts { // so nobody takes its answer for that of a model which stays the same
		call.model = ""
	}
	q := &question{kind: k, function: f, call: call}
	q.url = c.address([]string{k.root, f.ID, k.call}, k.query(call))
	member := "data"
	if _, ok := input.(SampleID); ok {
		if member = "sampleId"; k != search {
			return nil, errors.New("a SampleID is an input for Search only")
		}
	}
	value, err := c.encode(ctx, f.fields.Load(), input)
	if err != nil {
		return nil, err
	}
	return q, q.write(member, value)
}

// write makes the body. The external id is in it and not in the query, which
// servers and proxies like to log.
func (q *question) write(member string, data []byte) error {
	body := make([]byte, 0, len(data)+len(q.call.externalID)+40)
	body = append(body, `{"`+member+`":`...)
	start := len(body)
	body = append(body, data...)
	q.data = body[start:len(body):len(body)]
	if q.call.externalID != "" && q.kind.predicts {
		id, err := toJSON(q.call.externalID)
		if err != nil {
			return err
		}
		body = append(append(body, `,"externalId":`...), id...)
	}
	q.body = append(body, "}\n"...)
	return nil
}

// encode returns the JSON of an input.
func (c *Client) encode(ctx context.Context, fields *fieldTable, input Input) ([]byte, error) {
	if input == nil {
		return nil, errors.New("the input is nil")
	}
	data, err := input.data(ctx, &encoder{images: c.images, fields: fields})
	if err != nil {
		return nil, err
	}
	return toJSON(data)
}

// toJSON is [json.Marshal], but leaves the characters of HTML as they are.
func toJSON(value any) ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return nil, fmt.Errorf("encode as JSON: %w", err)
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}

// address returns a URL below the base, with each segment of the path escaped.
func (c *Client) address(path []string, query url.Values) string {
	escaped := make([]string, len(path))
	for i, segment := range path {
		escaped[i] = segment
		if i > 0 { // the first is ours, and has slashes
			escaped[i] = url.PathEscape(segment)
		}
	}
	target := c.base.JoinPath(escaped...)
	target.RawQuery = query.Encode()
	return target.String()
}

// invokeQuery returns the query of an invoke.
func invokeQuery(o callOptions) url.Values {
	query := url.Values{}
	if o.model != "" {
		query.Set("modelId", o.model)
	}
	if o.labelCount > 0 {
		query.Set("labelCount", strconv.Itoa(o.labelCount))
	}
	if o.metadata {
		query.Set("includeMetadata", "true")
	}
	if o.noCapture {
		query.Set("capture", "false")
	}
	return query
}

// exclude returns ctx with the rungs that must not answer.
func (o callOptions) exclude(ctx context.Context) context.Context {
	if o.strict {
		return policy.Strict(ctx)
	}
	if len(o.without) > 0 {
		return policy.Without(ctx, o.without...)
	}
	return ctx
}
