package nyckelsim

import (
	"slices"
	"strings"
)

// What a function takes and gives, by the names the API has for it.
const (
	textInput    = "Text"
	imageInput   = "Image"
	tabularInput = "Tabular"

	classification = "Classification"
	tags           = "Tags"
	search         = "Search"
	detection      = "Detection"
	boxDetect      = "BoxDetect"
	ocr            = "Ocr"
	localization   = "Localization"
)

// outputs are the outputs that a function may have by its input.
var outputs = map[string][]string{
	textInput:    {classification, tags, search},
	imageInput:   {classification, tags, search, detection, boxDetect, ocr, localization},
	tabularInput: {classification, tags},
}

// modalities returns the names of an input and an output as the API spells
// them, case aside, or a 400 if no function can have the two.
func modalities(input, output string) (string, string, error) {
	for in, outs := range outputs {
		if !strings.EqualFold(in, input) {
			continue
		}
		if i := slices.IndexFunc(outs, func(out string) bool { return strings.EqualFold(out, output) }); i >= 0 {
			return in, outs[i], nil
		}
	}
	return "", "", badRequest("There is no function with input %q and output %q.", input, output)
}

// learns reports whether the function learns from annotations.
func (f *function) learns() bool { return f.output == classification || f.output == tags }
