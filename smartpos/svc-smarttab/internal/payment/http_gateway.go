package payment

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/failpoint"
	"github.com/mpac-cloud/mpac/platform/hmacsig"
)

// request is one call of the gateway.
type request struct {
	name, method, path, key string
	query                   url.Values
	body                    any
}

// transport carries signed requests to the gateway.
type transport interface {
	call(ctx context.Context, r request, into any) error
}

// Signed is the transport: form 2 signatures over HTTP.
type Signed struct {
	URL, APIKey, Secret string
	HTTP                *http.Client
	Clock               clock.Clock
}

func (s *Signed) call(ctx context.Context, r request, into any) error {
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, s.URL+r.path+"?"+r.query.Encode(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	req.Header.Set("Authorization", hmacsig.Sign2(hmacsig.MessageOf(req, body), s.APIKey, hmacsig.Key(s.Secret), s.Clock()))
	failpoint.Hit("pgw." + r.name + ".before")
	res, err := s.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	content, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	failpoint.Hit("pgw." + r.name + ".after")
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		var doc struct{ Code, Detail string }
		_ = json.Unmarshal(content, &doc)
		return &AnswerError{Status: res.StatusCode, Code: doc.Code, Detail: doc.Detail}
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	return nil
}

func freshKey() string { return rand.Text() }
