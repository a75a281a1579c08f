package nyckelsim

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
)

// An inputState is what an input holds besides its data. It is kept, and not
// made again, because pictures were encoded anew and fields may have gone.
type inputState struct {
	Key      string      `json:"key"`
	Parts    []partState `json:"parts,omitempty"`
	Features []byte      `json:"features,omitempty"` // of the numbers, 64-bit integers
	Values   []byte      `json:"values,omitempty"`   // of the numbers, 32-bit floats
}

type partState struct {
	Salt uint64 `json:"salt,string"`
	Text string `json:"text"`
}

func (in *input) state() *inputState {
	return &inputState{
		Key:      in.key,
		Parts:    mapped(in.parts, func(p part) partState { return partState{p.salt, p.text} }),
		Features: packed(mapped(in.numbers, func(n number) uint64 { return n.feature })),
		Values:   packed(mapped(in.numbers, func(n number) float32 { return n.value })),
	}
}

// loadInput makes the input of a sample that was dumped.
func (f *function) loadInput(dumped sampleState) (input, error) {
	text, isText := dumped.Data.(string)
	if f.input == textInput {
		if !isText || text == "" || dumped.Input != nil {
			return input{}, errors.New("its data is no text")
		}
		return newText(text), nil
	}
	if _, isTable := dumped.Data.(map[string]any); isTable != (f.input == tabularInput) || !isTable && !isText {
		return input{}, errors.New("its data is not of the function's input")
	}
	if dumped.Input == nil || dumped.Input.Key == "" {
		return input{}, errors.New("its input is missing")
	}
	in := input{key: dumped.Input.Key, data: dumped.Data}
	for _, p := range dumped.Input.Parts {
		in.parts = append(in.parts, part{p.Salt, p.Text})
	}
	features, err := unpacked[uint64](dumped.Input.Features)
	if err != nil {
		return input{}, err
	}
	values, err := unpacked[float32](dumped.Input.Values)
	if err != nil || len(values) != len(features) || !within(values, math.MaxFloat32) {
		return input{}, errors.New("its numbers are broken")
	}
	for i, feature := range features {
		in.numbers = append(in.numbers, number{feature, values[i]})
	}
	return in, nil
}

type modelState struct {
	ID         string           `json:"id"`
	Labels     []string         `json:"labels"` // ids, by class
	Classifier *classifierState `json:"classifier,omitempty"`
}

// A classifierState holds numbers in base64: 64-bit integers and floats, or
// 32-bit floats, the lowest byte first. In decimal they would take several times
// the room.
type classifierState struct {
	Words   []byte `json:"words"`
	Rarity  []byte `json:"rarity"` // 32 bits
	Numbers []byte `json:"numbers"`
	Means   []byte `json:"means"`
	Factors []byte `json:"factors"`
	Weights []byte `json:"weights"` // 32 bits
	Bias    []byte `json:"bias"`    // 32 bits
}

func (m *model) state() modelState {
	dumped := modelState{ID: m.id, Labels: mapped(m.labels, func(l *label) string { return l.id })}
	if c := m.classifier; c != nil {
		dumped.Classifier = &classifierState{
			Words:   packed(byIndex(c.vocabulary)),
			Rarity:  packed(c.rarity),
			Numbers: packed(byIndex(c.numbers)),
			Means:   packed(mapped(c.scales, func(s scale) float64 { return s.Mean })),
			Factors: packed(mapped(c.scales, func(s scale) float64 { return s.Factor })),
			Weights: packed(c.weights),
			Bias:    packed(c.bias),
		}
	}
	return dumped
}

// Bounds of what a classifier holds, far from what one learns. Within them no
// sum overflows.
const (
	largestWeight = 1e6
	largestFactor = 1e60
)

// classifier makes the classifier anew, unless the numbers are not those of one.
func (d *classifierState) classifier(classes int, tags bool) (*classifier, error) {
	c := &classifier{classes: classes, tags: tags}
	words, err1 := unpacked[uint64](d.Words)
	numbers, err2 := unpacked[uint64](d.Numbers)
	means, err3 := unpacked[float64](d.Means)
	factors, err4 := unpacked[float64](d.Factors)
	var err5, err6, err7 error
	c.rarity, err5 = unpacked[float32](d.Rarity)
	c.weights, err6 = unpacked[float32](d.Weights)
	c.bias, err7 = unpacked[float32](d.Bias)
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7); err != nil {
		return nil, err
	}
	c.vocabulary, c.numbers = indexed(words), indexed(numbers)
	switch {
	case classes == 0 || len(c.bias) != classes,
		len(c.vocabulary) != len(words) || len(c.rarity) != len(words),
		len(c.numbers) != len(numbers) || len(means) != len(numbers) || len(factors) != len(numbers),
		len(c.weights) != (len(words)+len(numbers))*classes:
		return nil, errors.New("its sizes do not fit together")
	case !within(c.rarity, largestWeight) || !within(c.weights, largestWeight) || !within(c.bias, largestWeight),
		!within(means, math.MaxFloat32) || !within(factors, largestFactor):
		return nil, errors.New("it has numbers that are too large")
	case slices.ContainsFunc(c.rarity, func(r float32) bool { return r < 1 }):
		return nil, errors.New("it has words that are less than common")
	}
	for i := range means {
		c.scales = append(c.scales, scale{means[i], factors[i]})
	}
	return c, nil
}

// byIndex returns the keys of a map to 0, 1, 2... in that order.
func byIndex(index map[uint64]int) []uint64 {
	keys := make([]uint64, len(index))
	for key, i := range index {
		keys[i] = key
	}
	return keys
}

func indexed(keys []uint64) map[uint64]int {
	index := make(map[uint64]int, len(keys))
	for i, key := range keys {
		index[key] = i
	}
	return index
}

func packed[T uint64 | float64 | float32](list []T) []byte {
	bytes, err := binary.Append(nil, binary.LittleEndian, list)
	if err != nil { // all these types have a size
		panic(err)
	}
	return bytes
}

func unpacked[T uint64 | float64 | float32](bytes []byte) ([]T, error) {
	var one T
	size := binary.Size(one)
	if len(bytes)%size != 0 {
		return nil, errors.New("numbers are cut off")
	}
	list := make([]T, len(bytes)/size)
	_, err := binary.Decode(bytes, binary.LittleEndian, list)
	return list, err
}

// within reports whether all numbers are ones from -bound to bound.
func within[T float32 | float64](list []T, bound float64) bool {
	for _, x := range list {
		if !(math.Abs(float64(x)) <= bound) { // NaN fails too
			return false
		}
	}
	return true
}
