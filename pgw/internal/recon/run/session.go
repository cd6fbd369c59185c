package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mpac-cloud/mpac/pgw/internal/recon"
)

// session is one database session that works on one contract's day. It holds the lock of the contract and the stage.
type session struct {
	store
	scope   recon.Scope
	runID   string
	date    string    // the day, yyyy-mm-dd
	day     time.Time // the same as the database takes it
	dayFrom time.Time // the day's bounds by the provider's clock
	dayTo   time.Time
	window  window
}

// ErrBusy is the error of a run that found another one of the same contract at work.
var ErrBusy = errors.New("another run of the same contract is at work")

// lock takes the contract, waiting up to the given time for a run that has it.
func (s *session) lock(ctx context.Context, wait time.Duration, waiting func()) error {
	const poll = 200 * time.Millisecond
	// The wait is the machine's, not the platform's: no clock that was passed in.
	for waited := time.Duration(0); ; waited += poll {
		locked, err := s.tryLock(ctx)
		if err != nil || locked {
			return err
		}
		if waited+poll > wait {
			return fmt.Errorf("%w (%s %s)", ErrBusy, s.scope.Provider, s.scope.ContractID)
		}
		if waited == 0 {
			waiting()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(poll):
		}
	}
}
