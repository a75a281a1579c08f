package body

import (
	"bytes"
	"encoding/json"
	"mime"
	"strings"
)

// WholeJSON reports whether data, the beginning of a body of that Content-Type, is all
// of it, by what it says: of JSON, one object or array that has come to its end. Nothing
// but white space may follow that (RFC 8259 section 2), so its readers mostly do not
// ask whether there is more. It is false for kinds of JSON that hold several values.
func WholeJSON(contentType string, data []byte) bool {
	data = bytes.TrimRight(data, " \t\r\n")
	if !bytes.HasSuffix(data, []byte("}")) && !bytes.HasSuffix(data, []byte("]")) {
		return false
	}
	kind, parameters, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil, parameters["stream"] != "": // as Kubernetes marks what it lets one watch
		return false
	case kind == "application/stream+json", kind != "application/json" && !strings.HasSuffix(kind, "+json"):
		return false
	}
	return json.Valid(data)
}
