package iam

import (
	"time"
)

// Lockout keeps guessing slow without letting a stranger lock somebody out for good:
//
//   - five failures from one source on one account lock that pair for a quarter of an hour;
//   - failures on one account from all sources together make the next attempt wait, ever longer;
//   - a browser that the user has signed in from before is a source of its own and does not wait for the others.
//
// It counts attempts on accounts that do not exist just as well.
const (
	pairLimit  = 5
	pairLock   = 15 * time.Minute
	pairMemory = 15 * time.Minute // a pair's failures are forgotten when it was quiet so long

	freeFailures = 10 // of all sources, before anybody waits
	longestDelay = 5 * time.Minute
	allMemory    = time.Hour
)

// everySource is the name under which the failures of all sources are counted together.
const everySource = "all"

// failures is what is known of the failed attempts on an account: of one source, or of all.
type failures struct {
	count       int
	lastAt      time.Time
	lockedUntil time.Time // zero: not locked
}

// wait is how long the next attempt has to wait at the instant; zero or less: not at all.
func (f failures) wait(now time.Time) time.Duration { return f.lockedUntil.Sub(now) }

// failedFromSource adds a failure of one source.
func (f failures) failedFromSource(now time.Time) failures {
	if now.Sub(f.lastAt) >= pairMemory {
		f = failures{}
	}
	f.count, f.lastAt, f.lockedUntil = f.count+1, now, time.Time{}
	if f.count >= pairLimit {
		f.lockedUntil = now.Add(pairLock)
	}
	return f
}

// failedFromAnywhere adds a failure to those of all sources: after the free ones the wait doubles from one second.
func (f failures) failedFromAnywhere(now time.Time) failures {
	if now.Sub(f.lastAt) >= allMemory {
		f = failures{}
	}
	f.count, f.lastAt, f.lockedUntil = f.count+1, now, time.Time{}
	if over := f.count - freeFailures; over > 0 {
		f.lockedUntil = now.Add(delay(over))
	}
	return f
}

func delay(over int) time.Duration {
	const doublings = 9 // 512 s is past the longest
	if over > doublings {
		return longestDelay
	}
	return min(longestDelay, time.Second<<(over-1))
}

// undone takes back one failure that turned out to be none, with the lock that only it had set.
func (f failures) undone() failures {
	f.count = max(f.count-1, 0)
	f.lockedUntil = time.Time{}
	return f
}
