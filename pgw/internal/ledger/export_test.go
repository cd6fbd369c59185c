package ledger

import "time"

// Hurry makes every read of the watch end after so long.
func (w *Watch) Hurry(patience time.Duration) { w.patience = patience }

// Strides are how much the watch reads at once: seconds of the newest, and lines of each round.
func (w *Watch) Strides() []int64 {
	all := []int64{w.newest.now}
	for _, r := range w.rounds {
		all = append(all, r.lines.now)
	}
	return all
}

// Step makes the watch read so many lines at once.
func (w *Watch) Step(lines int64) {
	for _, r := range w.rounds {
		r.lines = stride{now: lines, least: lines, most: lines}
	}
}
