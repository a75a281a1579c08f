package policy

import "math"

// calls is how often one call sends its request, as its layers grow from the inside
// out.
//
// The retries, hedges and failovers that a call passes count the attempts at its own
// request together. But a request may become another one on its way: that to an
// endpoint with a URL of its own, or what a foreign layer makes of it. Whoever
// repeats that counts alone, and all of it is one attempt to those around.
type calls struct {
	own     tally // attempts at the call's own request
	apart   int   // calls that a request comes to which is not the call's
	refuses bool  // a layer says no
	late    bool  // after a request has been sent by one in between

	others  int   // calls that what is made of the request comes to; zero if nothing is
	outside tally // attempts where it is made, as far as layers around repeat them
	choice  int   // of endpoints there
	passed  int   // calls to endpoints that are not counted, since the last word was a refusal
}

// A tally is a count of attempts: those who look at it stop at most, but hedges go
// beside them.
type tally struct{ most, beside int }

func (t tally) total() int { return max(1, t.most) + t.beside }

// repeat puts a layer around that makes attempts until there are most.
func (c *calls) repeat(most int) {
	c.own.most, c.outside.most = max(c.own.most, most), max(c.outside.most, most)
	c.apart = product(c.apart, max(1, most))
	c.late = c.refuses
}

// hedge puts a layer around that sends so many beside the first. Of those that a
// request passes one does.
func (c *calls) hedge(beside int) {
	c.own.beside, c.outside.beside = max(c.own.beside, beside), max(c.outside.beside, beside)
	c.apart = product(c.apart, 1+beside)
	c.late = c.refuses
}

// replace puts a layer around that may make another request of the call's.
func (c *calls) replace() {
	c.others, c.outside, c.choice, c.passed = c.apart, tally{}, 1, 0
}

// choose returns what it comes to if each of all is asked in turn, as another request
// or as the call's own.
func choose(all []calls) calls {
	c := calls{choice: len(all)}
	for _, e := range all {
		c.own.most, c.own.beside = max(c.own.most, e.own.most), max(c.own.beside, e.own.beside)
		c.apart, c.others = sum(c.apart, e.apart), max(c.others, e.apart)
		c.refuses, c.late = c.refuses || e.refuses, c.late || e.late
	}
	c.own.most = max(c.own.most, len(all))
	if c.late {
		c.passed = product(c.others-1, len(all)-1) // all but the refused one
	}
	return c
}

// total returns the calls of a request that nobody around repeats.
func (c *calls) total() int {
	if c.others == 0 {
		return c.own.total()
	}
	asked := c.outside
	asked.most = max(asked.most, c.choice)
	counted := product(asked.total(), c.others)
	if c.passed == 0 {
		return counted
	}
	passed := product(c.passed, 1+c.outside.beside)
	return max(counted, sum(product(c.outside.total(), c.others), passed))
}

// product returns a × b, of which a is not negative and b above zero, as far as an int goes.
func product(a, b int) int {
	if a > math.MaxInt/b {
		return math.MaxInt
	}
	return a * b
}

// sum returns a + b, of which neither is negative, as far as an int goes.
func sum(a, b int) int {
	if a > math.MaxInt-b {
		return math.MaxInt
	}
	return a + b
}
