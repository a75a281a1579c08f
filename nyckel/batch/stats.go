package batch

// Stats are figures of a [Batcher] since it was made. Requests is the sum of
// Refused, Left, Answered, Failed and those that are still to be settled.
type Stats struct {
	Requests int // calls of Submit
	Refused  int // by the batcher: full, closed, or the context had ended
	Left     int // whose caller went before the outcome came
	Answered int
	Failed   int

	Merged  int // requests that joined an equal one
	Batches int // sent
	Items   int // different inputs in them
	Calls   int // made for them; more than Batches if some were split, or if there is no array call
	Waiting int // requests that are not sent yet, now
}

// Stats returns the figures, all of one moment.
func (b *Batcher[In, Out]) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stats
}
