package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// probe asks without keeping connections: a service that drains must not wait for us.
var probe = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// Answers is a Child's Ready for a process that serves HTTP: it is ready when the address answers 200.
func Answers(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return fmt.Errorf("%w", err)
		}
		answer, err := probe.Do(request)
		if err != nil {
			return fmt.Errorf("%w", err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return errors.New(answer.Status)
		}
		return nil
	}
}
