package up

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/mpac-cloud/mpac/internal/ops/api"
	"github.com/mpac-cloud/mpac/internal/ops/local"
)

// seed makes the first data through the services' own doors. Each step looks first, makes what is missing and writes it down, so a
// start that was cut short goes on where it was, and a later one does nothing.
func (r *runner) seed(ctx context.Context) error {
	if r.p.Seed.Done {
		return nil
	}
	began := time.Now()
	s := &seeder{runner: r, edge: api.Client{Base: local.URL(r.ports.Edge)}}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"the PSP and its admin", s.psp},
		{"the merchant", s.merchant},
		{"the stores", s.stores},
		{"the people", s.people},
		{"the contract with PayPay", s.contract},
		{"the terminal", s.terminal},
		{"the test partner", s.tester},
		{"the gateway's copy", s.synced},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("first data: %s: %w", step.what, err)
		}
	}
	if err := r.remember(func(p *local.Platform) { p.Seed.Done = true }); err != nil {
		return err
	}
	r.out.Printf("  %s  %-13s %s\n", r.out.Good("ready"), "first data", r.out.Faint(fmt.Sprintf("a PSP, a merchant, two stores, people, a terminal; %.1f s", time.Since(began).Seconds())))
	return nil
}

type seeder struct {
	*runner
	edge  api.Client
	admin api.Client // the PSP's admin, signed in
}

type thing struct {
	ID string `json:"id"`
}

type things struct {
	Data []thing `json:"data"`
}

// ensure returns the thing with a code, after making it unless it is there.
func ensure(ctx context.Context, c api.Client, path, code string, body map[string]any) (string, error) {
	var found things
	if err := c.Get(ctx, path, url.Values{"code": {code}}, &found); err != nil {
		return "", err
	}
	if len(found.Data) > 0 {
		return found.Data[0].ID, nil
	}
	body["code"] = code
	var made thing
	err := c.Post(ctx, path, path+"/"+code, body, &made)
	return made.ID, err
}

// psp makes the PSP and its admin, whose authenticator is set up at the first sign-in.
func (s *seeder) psp(ctx context.Context) error {
	if !s.p.Seed.AdminEnrolled {
		operator, err := s.operator(ctx)
		if err != nil {
			return err
		}
		psp, err := ensure(ctx, operator, "/api/v1/psps", "hikari-pay", map[string]any{"name": "Hikari Payments"})
		if err != nil {
			return err
		}
		if err := s.remember(func(p *local.Platform) { p.Seed.PSP = psp }); err != nil {
			return err
		}
		if err := person(ctx, operator, "PSP admin", s.p.Admin, map[string]any{"role": "PSP_ADMIN", "psp_id": psp}); err != nil {
			return err
		}
	}
	var err error
	s.admin, err = s.edge.SignIn(ctx, api.Person{
		Email: s.p.Admin.Email, Password: s.p.Admin.Password, TOTPSecret: s.p.Admin.TOTPSecret,
		Enrolled: func(secret string) error { return s.remember(func(p *local.Platform) { p.Admin.TOTPSecret = secret }) },
	})
	if err != nil {
		return err
	}
	return s.remember(func(p *local.Platform) { p.Seed.AdminEnrolled = true })
}

// operator makes sure of the first SYSTEM_OP, the one thing that no API can make, and signs in.
func (s *seeder) operator(ctx context.Context) (api.Client, error) {
	if _, err := s.command(ctx, "svc-portal", []string{"seed"}, s.portalEnvironment()...); err != nil {
		return api.Client{}, err
	}
	o := s.p.Operator
	return s.edge.SignIn(ctx, api.Person{Email: o.Email, Password: o.Password, TOTPSecret: o.TOTPSecret})
}

// person makes a user; one that is there already is that of an earlier, interrupted start.
func person(ctx context.Context, c api.Client, name string, l local.Login, where map[string]any) error {
	body := map[string]any{"email": l.Email, "name": name, "password": l.Password}
	for key, value := range where {
		body[key] = value
	}
	err := c.Post(ctx, "/api/v1/users", "users/"+l.Email, body, nil)
	if api.Status(err) == http.StatusConflict {
		return nil
	}
	return err
}

func (s *seeder) merchant(ctx context.Context) error {
	id, err := ensure(ctx, s.admin, "/api/v1/merchants", "hikari-foods", map[string]any{
		"psp_id": s.p.Seed.PSP, "name": "Hikari Foods", "tax_rounding": "floor",
		"invoice_registration_number": "T9701040109876", // invented; its check digit holds
	})
	if err != nil {
		return err
	}
	return s.remember(func(p *local.Platform) { p.Seed.Merchant = id })
}

func (s *seeder) stores(ctx context.Context) error {
	for _, store := range []struct {
		code, name, address string
		into                *string
	}{
		{"ekimae", "Hikari Ekimae", "1-1 Ekimae, Example City", &s.p.Seed.Store},
		{"kawabata", "Hikari Kawabata", "2-8 Kawabata, Example City", &s.p.Seed.Second},
	} {
		id, err := ensure(ctx, s.admin, "/api/v1/stores", store.code, map[string]any{
			"merchant_id": s.p.Seed.Merchant, "name": store.name, "timezone": "Asia/Tokyo", "price_mode": "inclusive",
			"address": store.address, "phone": "03-0000-0000",
		})
		if err != nil {
			return err
		}
		if err := s.remember(func(*local.Platform) { *store.into = id }); err != nil {
			return err
		}
	}
	return nil
}

func (s *seeder) people(ctx context.Context) error {
	seed := s.p.Seed
	return errors.Join(
		person(ctx, s.admin, "Merchant owner", seed.Owner, map[string]any{"role": "MERCHANT_ADMIN", "merchant_id": seed.Merchant}),
		person(ctx, s.admin, "Store manager", seed.Manager, map[string]any{"role": "STORE_MANAGER", "store_id": seed.Store}),
		person(ctx, s.admin, "Store staff", seed.Staff, map[string]any{"role": "STAFF", "store_id": seed.Store}),
	)
}

// contract puts the merchant's credentials at PayPay where all its stores find them.
func (s *seeder) contract(ctx context.Context) error {
	if s.p.Seed.ProviderSet {
		return nil
	}
	pay := s.p.PayPay
	err := s.admin.Put(ctx, "/api/v1/merchants/"+s.p.Seed.Merchant+"/provider_configs/paypay", map[string]any{
		"contract_id": pay.MerchantID, "credentials": map[string]string{"api_key": pay.APIKey, "api_secret": pay.APISecret},
	}, nil)
	if err != nil {
		return err
	}
	return s.remember(func(p *local.Platform) { p.Seed.ProviderSet = true })
}

// terminal registers a terminal in the first store and activates it with a key of its own.
func (s *seeder) terminal(ctx context.Context) error {
	if s.p.Seed.Client != "" {
		return nil
	}
	keyFile := s.o.Dir.TerminalKey()
	key, err := api.LoadKey(keyFile)
	if errors.Is(err, os.ErrNotExist) {
		if key, err = api.NewTerminalKey(); err == nil {
			err = api.SaveKey(keyFile, key)
		}
	}
	if err != nil {
		return err
	}
	activated, err := Activate(ctx, s.admin, s.p.Seed.Store, "SN-EKIMAE-1", "Front till", key)
	if err != nil {
		return err
	}
	return s.remember(func(p *local.Platform) { p.Seed.Terminal, p.Seed.Client = activated.TerminalID, activated.ClientID })
}

// tester gives the test partner a merchant, a store and a contract with PayPay, by signed config sync.
func (s *seeder) tester(ctx context.Context) error {
	if s.p.Seed.TesterSet {
		return nil
	}
	const shop, store = "example-merchant", "example-store"
	gateway := api.Client{Base: local.URL(s.ports.PGW), Sign: api.Form1(s.p.Seed.Tester.APIKey, s.p.Seed.Tester.SecretKey)}
	pay := s.p.PayPay
	for _, put := range []struct {
		path string
		body map[string]any
	}{
		{"/v1/merchants/" + shop, map[string]any{"version": 1, "name": "Example Merchant", "status": "active"}},
		{"/v1/merchants/" + shop + "/stores/" + store, map[string]any{
			"version": 1, "name": "Example Store", "status": "active", "timezone": "Asia/Tokyo",
		}},
		{"/v1/merchants/" + shop + "/stores/" + store + "/provider_configs/paypay", map[string]any{
			"version": 1, "status": "active", "contract_id": pay.MerchantID,
			"credentials": map[string]string{"api_key": pay.APIKey, "api_secret": pay.APISecret},
		}},
	} {
		if err := gateway.Put(ctx, put.path, put.body, nil); err != nil {
			return err
		}
	}
	return s.remember(func(p *local.Platform) { p.Seed.TesterShop, p.Seed.TesterStore, p.Seed.TesterSet = shop, store, true })
}

// synced waits until the payment gateway knows the merchant, its stores and its contract: only then does the first sale go through.
func (s *seeder) synced(ctx context.Context) error {
	return api.Eventually(ctx, 30*time.Second, func() error {
		var config struct {
			Sync struct {
				State string `json:"state"`
			} `json:"sync"`
		}
		err := s.admin.Get(ctx, "/api/v1/merchants/"+s.p.Seed.Merchant+"/provider_configs/paypay", nil, &config)
		if err == nil && config.Sync.State != "synced" {
			err = fmt.Errorf("the contract's sync to the payment gateway is %q", config.Sync.State)
		}
		return err
	})
}
