// Package till plays a store in the end-to-end tests: a store of its own with a terminal that is activated and signed in, which
// takes orders and money through the gateway as a real one would. When the platform does not answer it asks again, under
// the same key.
package till

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/internal/ops/api"
	"github.com/mpac-cloud/mpac/internal/ops/local"
	"github.com/mpac-cloud/mpac/internal/ops/up"
)

// Patience is how long a till waits for anything: what the platform promises to have settled within a minute, and a bit.
const Patience = 75 * time.Second

// Platform is what a till needs to know of the platform that it stands on.
type Platform interface {
	Env(name string) string     // as mpac env prints it
	Remembered() local.Platform // what the folder remembers: people, contracts
}

// Till is one terminal of a store.
type Till struct {
	t     testing.TB
	p     Platform
	name  string
	Store string
	Owner api.Client // the merchant's owner

	key    *ecdsa.PrivateKey
	client string

	mu      sync.Mutex
	token   api.Client
	renewAt time.Time

	gateway string
	wallet  api.Client

	// How long it waits for anything; Patience unless said otherwise.
	patience time.Duration
}

// Open opens a store with a PayPay contract and activates a terminal in it.
func Open(t testing.TB, p Platform) *Till {
	t.Helper()
	seed := p.Remembered()
	s := &Till{
		t: t, p: p, name: strings.ToLower(rand.Text()[:10]), gateway: p.Env("MPAC_PGW_URL"),
		wallet: api.Client{Base: p.Env("MPAC_SANDBOX_URL")}, patience: Patience,
	}
	edge := api.Client{Base: p.Env("MPAC_EDGE_URL")}
	var owner api.Client
	s.must("sign in", func() (err error) {
		owner, err = edge.SignIn(t.Context(), api.Person{Email: seed.Seed.Owner.Email, Password: seed.Seed.Owner.Password})
		return err
	})
	s.Owner = owner
	var made struct {
		ID string `json:"id"`
	}
	s.must("open a store", func() error {
		err := owner.Post(t.Context(), "/api/v1/stores", "store-"+s.name, map[string]any{
			"merchant_id": seed.Seed.Merchant, "code": "e2e-" + s.name, "name": "Test " + s.name, "timezone": "Asia/Tokyo", "price_mode": "inclusive",
			"address": "1-1 Test, Example City", "phone": "03-0000-0000",
		}, &made)
		return err
	})
	s.Store = made.ID
	s.contract(seed)
	s.activate("E2E-" + s.name)
	return s
}

// contract enters the store's PayPay contract and waits until the gateway knows it.
func (s *Till) contract(seed local.Platform) {
	s.t.Helper()
	path := "/api/v1/stores/" + s.Store + "/provider_configs/paypay"
	s.must("enter the contract", func() error {
		return s.Owner.Put(s.t.Context(), path, map[string]any{
			"contract_id": seed.PayPay.MerchantID,
			"credentials": map[string]string{"api_key": seed.PayPay.APIKey, "api_secret": seed.PayPay.APISecret},
		}, nil)
	})
	s.must("see the store known to the gateway", func() error {
		var config struct {
			Sync struct {
				State string `json:"state"`
			} `json:"sync"`
		}
		if err := s.Owner.Get(s.t.Context(), path, nil, &config); err != nil {
			return err
		}
		if config.Sync.State != "synced" {
			return fmt.Errorf("the sync's state is %q", config.Sync.State)
		}
		return nil
	})
}

func (s *Till) activate(serial string) {
	s.t.Helper()
	var err error
	if s.key, err = api.NewTerminalKey(); err != nil {
		s.t.Fatal(err)
	}
	s.must("activate a terminal", func() error {
		a, err := up.Activate(s.t.Context(), s.Owner, s.Store, serial, "Test till", s.key)
		s.client = a.ClientID
		return err
	})
}

// Wait makes the till wait longer than Patience: where process after process is killed on one payment's way.
func (s *Till) Wait(patience time.Duration) { s.patience = patience }

// Second is another terminal of the same store.
func (s *Till) Second() *Till {
	s.t.Helper()
	other := &Till{t: s.t, p: s.p, name: s.name + "b", Store: s.Store, Owner: s.Owner, gateway: s.gateway, wallet: s.wallet, patience: s.patience}
	other.activate("E2E-" + other.name)
	return other
}

// Terminal is the till's client with a token that is still good.
func (s *Till) Terminal(ctx context.Context) (api.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.renewAt) {
		return s.token, nil
	}
	edge := api.Client{Base: s.p.Env("MPAC_EDGE_URL")}
	token, err := edge.SignInTerminal(ctx, api.Terminal{ClientID: s.client, Key: s.key})
	if err == nil {
		s.token, s.renewAt = token, time.Now().Add(60*time.Second)
	}
	return token, err
}

// must does something, again while the platform is not there, and fails the test when it stays away or refuses.
func (s *Till) must(what string, do func() error) {
	s.t.Helper()
	if err := s.persist(do); err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
}

// Persist repeats do while the answer is none, or says that somebody is not there just now. Any other refusal is final.
func Persist(ctx context.Context, do func() error) error { return persist(ctx, Patience, do) }

func (s *Till) persist(do func() error) error { return persist(s.t.Context(), s.patience, do) }

func persist(ctx context.Context, patience time.Duration, do func() error) error {
	var final error
	err := api.Eventually(ctx, patience, func() error {
		err := do()
		if err != nil && !transient(err) {
			final = err
			return nil
		}
		return err
	})
	return errors.Join(final, err)
}

// transient are the failures after which a terminal asks again: no answer, a server's error, a key that is still at work, a
// limit.
func transient(err error) bool {
	status := api.Status(err)
	return status == 0 || status >= 500 || status == 429 || status == 401 ||
		api.Is(err, "idempotency_key_running") || api.Is(err, "request_in_progress") || api.Is(err, "idempotency_key_in_use")
}

func (s *Till) post(path, key string, body, out any) error {
	return s.persist(func() error {
		c, err := s.Terminal(s.t.Context())
		if err != nil {
			return err
		}
		return c.Post(s.t.Context(), path, key, body, out)
	})
}

func (s *Till) get(path string, query url.Values, out any) error {
	return s.persist(func() error {
		c, err := s.Terminal(s.t.Context())
		if err != nil {
			return err
		}
		return c.Get(s.t.Context(), path, query, out)
	})
}

// Wallet is where the customer's wallet is reached.
func (s *Till) Wallet() string { return s.wallet.Base }
