package access

// Remembered is how many keys the local limiter holds.
func (l *Limiter) Remembered() int { return len(l.local.arrival) }
