package event

import "context"

// NumberAlone numbers events without the lease until ctx is over.
func (s *Sequencer) NumberAlone(ctx context.Context) error {
	t, err := s.begin(ctx)
	for err == nil && ctx.Err() == nil {
		if _, err = s.number(ctx, t); err == nil {
			err = s.census(ctx, t)
		}
	}
	if ctx.Err() == nil {
		return err
	}
	return nil
}
