package nyckelsim

// zeroShot returns how likely each label is by its name alone: the more of the
// name's words were said, the likelier. No label comes out at more than
// twice another, so confidence is low; the sum is 1.
func zeroShot(names []string, said map[string]bool) []float64 {
	p := make([]float64, len(names))
	sum := 0.0
	for i, name := range names {
		p[i] = 1 + overlap(words(name), said)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

// overlap returns the share of the words that were said.
func overlap(words []string, said map[string]bool) float64 {
	if len(words) == 0 {
		return 0
	}
	n := 0
	for _, word := range words {
		if said[word] {
			n++
		}
	}
	return float64(n) / float64(len(words))
}

// zeroShotTags returns how likely each label is by its name alone: more likely
// than not if all its words were said.
func zeroShotTags(names []string, said map[string]bool) []float64 {
	return mapped(names, func(name string) float64 {
		share := overlap(words(name), said)
		if share == 1 {
			return 0.6
		}
		return 0.4 * share
	})
}
