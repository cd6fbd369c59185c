package gateway

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// SyncConfig is what Kong's companion reads. It has the file's template in it; the environment gives the addresses.
type SyncConfig struct {
	PortalURL      string        `env:"GATEWAY_PORTAL_URL,required,notEmpty" doc:"address of svc-portal, whose public keys are asked for as well"`
	SmarttabURL    string        `env:"GATEWAY_SMARTTAB_URL,required,notEmpty" doc:"address of svc-smarttab"`
	RedisHost      string        `env:"GATEWAY_REDIS_HOST,required,notEmpty" doc:"host of the Redis that counts for the rate limits"`
	RedisPort      int           `env:"GATEWAY_REDIS_PORT" envDefault:"6379" doc:"its port"`
	RedisTLS       bool          `env:"GATEWAY_REDIS_TLS" envDefault:"true" doc:"reach it by TLS"`
	RedisAuth      bool          `env:"GATEWAY_REDIS_AUTH" envDefault:"true" doc:"log in with the password that Kong has in REDIS_PASSWORD"`
	OpenLimit      int           `env:"GATEWAY_OPEN_LIMIT" envDefault:"1000" doc:"requests a minute from one address on routes without a token"`
	TracesEndpoint string        `env:"GATEWAY_TRACES_ENDPOINT" doc:"where Kong sends spans, as http://host:4318/v1/traces; empty: nowhere"`
	TracesAuth     bool          `env:"GATEWAY_TRACES_AUTH" envDefault:"false" doc:"be let in there with what Kong has in OTLP_AUTHORIZATION and OTLP_AUTHORIZATION_OTHER"`
	TracesSampling float64       `env:"GATEWAY_TRACES_SAMPLING" envDefault:"1" doc:"share of the traces that begin here, 0 to 1"`
	AdminURL       string        `env:"KONG_ADMIN_URL" envDefault:"http://127.0.0.1:8001" doc:"Kong's Admin API, on loopback"`
	StatusURL      string        `env:"KONG_STATUS_URL" envDefault:"http://127.0.0.1:8100" doc:"Kong's status listener, whose figures are pushed as OTLP"`
	Interval       time.Duration `env:"SYNC_INTERVAL" envDefault:"30s" doc:"how often the keys are asked for and the file is posted"`
}

// Values are what the file is filled in with.
func (c SyncConfig) Values() Values {
	v := Defaults()
	v.PortalURL, v.SmarttabURL, v.RedisHost, v.RedisPort, v.RedisTLS, v.RedisAuth = c.PortalURL, c.SmarttabURL, c.RedisHost, c.RedisPort, c.RedisTLS, c.RedisAuth
	v.OpenLimit, v.TracesEndpoint, v.TracesAuth, v.TracesSampling = c.OpenLimit, c.TracesEndpoint, c.TracesAuth, c.TracesSampling
	return v
}

// firstWait is how soon it is tried again while Kong has no configuration yet: until then it answers nobody.
const firstWait = time.Second

// Sync posts kong.yml to Kong now and every interval, until ctx is over. When svc-portal does not answer, or what came out is not
// right, Kong keeps the last good one. What becomes of each file is noted in figures. wait lets time pass; nil is the machine's clock.
func Sync(ctx context.Context, cfg SyncConfig, figures *Figures, wait func(context.Context, time.Duration) error) error {
	if wait == nil {
		wait = sleep
	}
	s := &syncer{cfg: cfg, kong: &http.Client{Timeout: keysTimeout * 2}, figures: figures}
	for pause := firstWait; ; {
		if err := s.turn(ctx); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "gateway sync", "error", err, "kong_has_a_configuration", s.posted)
		}
		if s.posted {
			pause = cfg.Interval
		}
		if err := wait(ctx, pause); err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // it was told to stop
			}
			return err
		}
		pause = min(pause*2, cfg.Interval)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // asked about by Sync alone
	case <-t.C:
		return nil
	}
}

type syncer struct {
	cfg     SyncConfig
	kong    *http.Client
	figures *Figures
	last    []byte // the last good file
	posted  bool
}

// errRefused is of a file that is not served: by our own check of it, or by Kong's.
var errRefused = errors.New("refused")

// turn asks for the keys, renders and posts. Without keys it posts the last good file again: Kong may have started anew.
func (s *syncer) turn(ctx context.Context) error {
	text, err := s.render(ctx)
	if err == nil {
		// Refused by Kong, it is not what is kept: what Kong has stays.
		if err = s.post(ctx, text); err == nil {
			s.last, s.posted = text, true
			s.figures.served()
			return nil
		}
	}
	if errors.Is(err, errRefused) {
		s.figures.refused()
	}
	if s.last == nil {
		return err
	}
	return errors.Join(err, s.post(ctx, s.last))
}

func (s *syncer) render(ctx context.Context) ([]byte, error) {
	keys, err := FetchKeys(ctx, s.cfg.PortalURL)
	if err != nil {
		return nil, err
	}
	// A service that starts publishes its keys before it answers; an answer without any would lock everybody out.
	if len(keys.Users) == 0 || len(keys.Devices) == 0 {
		return nil, errors.New("svc-portal publishes no keys")
	}
	text, err := Render(s.cfg.Values(), keys)
	if err != nil {
		return nil, fmt.Errorf("%w before it was posted: %w", errRefused, err)
	}
	return text, nil
}

// post gives Kong a file. Kong takes it whole or not at all, and does nothing when it has it already.
func (s *syncer) post(ctx context.Context, text []byte) error {
	body, err := json.Marshal(map[string]string{"config": string(text)})
	if err != nil {
		return fmt.Errorf("post kong.yml: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.AdminURL+"/config?check_hash=1", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("post kong.yml: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := s.kong.Do(request)
	if err != nil {
		return fmt.Errorf("post kong.yml: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	switch answer.StatusCode {
	case http.StatusCreated, http.StatusOK:
		slog.InfoContext(ctx, "kong has a new configuration", "bytes", len(text))
		return nil
	case http.StatusNotModified:
		return nil
	}
	said, _ := io.ReadAll(io.LimitReader(answer.Body, 4<<10)) // it is for the log
	if answer.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("kong answers kong.yml with %s: %s", answer.Status, said) // it is Kong that is not well, not the file
	}
	return fmt.Errorf("kong.yml is %w by Kong with %s: %s", errRefused, answer.Status, cmp.Or(string(said), "it does not say why"))
}
