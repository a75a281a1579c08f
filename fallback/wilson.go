package fallback

import "math"

// wilson returns the bounds of Wilson's score interval (1927) for a share of which part
// in whole was seen: 0 to 1 if nothing was. z is the quantile of the normal distribution
// for the confidence that the bounds are to have.
func wilson(part, whole int, z float64) (low, high float64) {
	if whole == 0 {
		return 0, 1
	}
	n, p := float64(whole), ratio(part, whole)
	middle := p + z*z/(2*n)
	margin := z * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	scale := 1 + z*z/n
	return max(0, (middle-margin)/scale), min(1, (middle+margin)/scale)
}

// ratio returns part in whole, 0 if that is zero.
func ratio(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
