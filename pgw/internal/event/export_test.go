package event

import "context"

// Number lets a test number events without the lease.
func (s *Sequencer) Number(ctx context.Context) (int, error) { return s.number(ctx) }
