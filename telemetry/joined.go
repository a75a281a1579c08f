package telemetry

// Joined says that the call got what came of another one's attempts, which asked
// the same at the same time. They are in the other's trail.
func (t *Trail) Joined() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.notes) < maxKept {
		t.notes = append(t.notes, Note{Layer: "cache", Reason: NotAlone})
	}
}

// NotAlone is the reason for which the cache does not send a request: an equal one
// is under way.
const NotAlone = "joined"
