// Package clock passes time in, so that rules about hours and days can be tested and a whole platform can be moved to
// another day. Nothing outside this package and the telemetry asks time.Now for a business decision.
package clock

import (
	"sync"
	"time"
)

// Clock tells the time, in UTC.
type Clock func() time.Time

// System is the machine's clock moved by offset (zero in production).
func System(offset time.Duration) Clock {
	return func() time.Time { return time.Now().UTC().Add(offset) }
}

// Manual is a clock that stands still until a test moves it. Pass its Now method as a Clock.
type Manual struct {
	mu  sync.Mutex
	now time.Time
}

// NewManual returns a clock standing at t.
func NewManual(t time.Time) *Manual { return &Manual{now: t.UTC()} }

// Now is the time the clock stands at.
func (m *Manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// Advance moves the clock by d.
func (m *Manual) Advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
}

// Set puts the clock at t.
func (m *Manual) Set(t time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = t.UTC()
}
