package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/mpac-cloud/mpac/platform/failpoint"
	"github.com/mpac-cloud/mpac/platform/hmacsig"
)

// Deadlines of operations, unless the context ends sooner. A call that makes the gateway call a provider waits as long as the
// provider may take (PayPay: 30 s) and a little more.
const (
	quick    = 10 * time.Second
	provider = 40 * time.Second
)

// How often and how soon a safe call is tried again.
const (
	tries     = 4
	firstWait = 100 * time.Millisecond
	longWait  = 5 * time.Second
	// maxAnswer is the largest answer read, in bytes.
	maxAnswer = 8 << 20
)

// call is one operation.
type call struct {
	op       string // pgwclient.<op> in failpoints
	method   string
	path     string
	query    url.Values
	key      string // Idempotency-Key of POSTs
	body     any
	deadline time.Duration
	out      any
}

// do carries a call out, with further tries where they are safe.
func (c *Client) do(ctx context.Context, k call) error {
	ctx, cancel := context.WithTimeout(ctx, k.deadline)
	defer cancel()
	body, err := encode(k.body)
	if err != nil {
		return fmt.Errorf("pgw %s: %w", k.op, err)
	}
	var last error
	for try := range tries {
		if try > 0 {
			if err := c.pause(ctx, backoff(try, last)); err != nil {
				break
			}
		}
		if last = c.once(ctx, k, body); last == nil || !k.safe() || !passing(last) {
			break
		}
	}
	if last != nil {
		return fmt.Errorf("pgw %s: %w", k.op, last)
	}
	return nil
}

// safe tells whether the call may be sent twice.
func (k call) safe() bool { return k.method != http.MethodPost || k.key != "" }

func encode(body any) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	return json.Marshal(body)
}

// once sends the call, signed anew, and reads its answer.
func (c *Client) once(ctx context.Context, k call, body []byte) error {
	r, err := c.request(ctx, k, body)
	if err != nil {
		return err
	}
	failpoint.Hit("pgwclient." + k.op + ".before")
	response, err := c.http.Do(r)
	if err != nil {
		return noAnswer(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	failpoint.Hit("pgwclient." + k.op + ".after")
	if err != nil {
		return noAnswer(err)
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return newError(response, answer)
	}
	if k.out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, k.out); err != nil {
		return fmt.Errorf("unreadable answer with status %d: %w", response.StatusCode, err)
	}
	return nil
}

func (c *Client) request(ctx context.Context, k call, body []byte) (*http.Request, error) {
	address := c.base + k.path
	if len(k.query) > 0 {
		address += "?" + k.query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, k.method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	// net/http would send a body again by itself, under the old signature; each try is to be signed anew.
	r.GetBody = nil
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if k.key != "" {
		r.Header.Set("Idempotency-Key", k.key)
	}
	r.Header.Set("Authorization", hmacsig.Sign2(hmacsig.MessageOf(r, body), c.apiKey, c.key, c.now()))
	return r, nil
}

// noAnswer hides the address, which may hold an id, and keeps the cause.
func noAnswer(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("%w: %w", ErrNoAnswer, err)
}

// passing tells whether a try failed for a reason that may pass.
func passing(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return errors.Is(err, ErrNoAnswer)
	}
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	// The first try is still running over there, or somebody else holds the intent.
	return e.Code == "idempotency_key_in_use" || e.Code == "payment_intent_busy"
}

// backoff doubles from firstWait, with jitter; the gateway's own Retry-After goes before.
func backoff(try int, err error) time.Duration {
	var e *Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		return min(e.RetryAfter, longWait)
	}
	wait := firstWait << (try - 1)
	return wait/2 + jitter(wait)
}

// jitter is a random part of d, so that callers who failed together do not come back together.
func jitter(d time.Duration) time.Duration {
	var raw [8]byte
	_, _ = rand.Read(raw[:])                                          // does not fail
	return time.Duration(binary.BigEndian.Uint64(raw[:]) % uint64(d)) //nolint:gosec // less than d
}

// retryAfter reads seconds; the gateway sends no dates.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
