package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mpac-cloud/mpac/platform/httpserver"
	"github.com/mpac-cloud/mpac/platform/service"
	"github.com/mpac-cloud/mpac/sandbox/internal/books"
	"github.com/mpac-cloud/mpac/sandbox/internal/console"
	"github.com/mpac-cloud/mpac/sandbox/internal/fault"
	"github.com/mpac-cloud/mpac/sandbox/internal/paypay"
	"github.com/mpac-cloud/mpac/sandbox/internal/settlement"
	"github.com/mpac-cloud/mpac/sandbox/internal/wallet"
	"github.com/mpac-cloud/mpac/sandbox/internal/webhook"
)

// tick is how often what falls due is looked for when nobody asks.
const tick = 100 * time.Millisecond

// faces are the two HTTP servers.
type faces struct{ paypay, console *httpserver.Server }

func serve(ctx context.Context, cfg Config) error {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("SANDBOX_DATA_DIR: %w", err)
	}
	ledger, err := books.Open(cfg.journal(), cfg.Clock())
	if err != nil {
		return err
	}
	defer func() { _ = ledger.Close() }()
	if err := firstMerchant(ledger, cfg.merchant()); err != nil {
		return err
	}
	faults := &fault.Box{}
	sender := webhook.New(ctx, cfg.Clock(), faults)
	ledger.Watch(sender.Tell)
	f, err := build(ctx, &cfg, ledger, faults, sender)
	if err != nil {
		return err
	}
	return run(ctx, &cfg, ledger, f)
}

// firstMerchant brings the environment's merchant into the books. What the console has changed since stays.
func firstMerchant(ledger *books.Books, m books.Merchant) error {
	if known, ok := ledger.Merchant(m.ID); ok {
		m.Settings = known.Settings
	}
	return ledger.PutMerchant(m)
}

func build(ctx context.Context, cfg *Config, ledger *books.Books, faults *fault.Box, sender *webhook.Sender) (faces, error) {
	const drain = 5 * time.Second
	provider, err1 := httpserver.New(httpserver.Config{Addr: cfg.PayPayAddr, DrainTimeout: drain}, httpserver.Info{
		Service: "sandbox-paypay", Title: "PayPay Open Payment API v2, played by the sandbox", Version: service.Version,
		Description: "The provider's own paths, described in the provider's own documents.",
	})
	own, err2 := httpserver.New(httpserver.Config{Addr: cfg.ConsoleAddr, DrainTimeout: drain}, httpserver.Info{
		Service: "sandbox-console", Title: "Sandbox console", Version: service.Version,
		Description: "Plays the payer, lets things go wrong, shows the books, writes settlement files.",
		Tags:        []*huma.Tag{{Name: "Payments"}, {Name: "Merchants"}, {Name: "Faults"}, {Name: "Settlement"}},
	})
	if err := errors.Join(err1, err2); err != nil {
		return faces{}, err
	}
	files := &settlement.Writer{Books: ledger, Dir: cfg.settlementDir()}
	links := settlement.NewLinks(files, cfg.payPayURL(), cfg.Clock())
	(&paypay.API{Ctx: ctx, Books: ledger, Faults: faults, Webhooks: sender, WalletURL: cfg.walletURL()}).Mount(provider.Engine)
	links.Mount(provider.Engine)
	(&console.Console{
		Books: ledger, Faults: faults, Webhooks: sender, Settlement: files, Links: links, WalletURL: cfg.walletURL(), Usual: cfg.merchant(),
	}).Register(own.API)
	(&wallet.Wallet{Books: ledger}).Mount(own.Engine)
	return faces{paypay: provider, console: own}, nil
}

// run serves both faces until ctx is over or one fails.
func run(ctx context.Context, cfg *Config, ledger *books.Books, f faces) error {
	var listen net.ListenConfig
	provider, err := listen.Listen(ctx, "tcp", cfg.PayPayAddr)
	if err != nil {
		return fmt.Errorf("SANDBOX_PAYPAY_ADDR %s: %w", cfg.PayPayAddr, err)
	}
	own, err := listen.Listen(ctx, "tcp", cfg.ConsoleAddr)
	if err != nil {
		return errors.Join(fmt.Errorf("SANDBOX_CONSOLE_ADDR %s: %w", cfg.ConsoleAddr, err), provider.Close())
	}
	either, err := newEitherListener(provider, cfg.DataDir, cfg.Clock())
	if err != nil {
		return errors.Join(err, provider.Close(), own.Close())
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var group sync.WaitGroup
	var mu sync.Mutex
	var failed error
	start := func(task func() error) {
		group.Go(func() {
			err := task()
			mu.Lock()
			failed = errors.Join(failed, err)
			mu.Unlock()
			stop()
		})
	}
	start(func() error { return f.paypay.RunOn(ctx, either) })
	start(func() error { return f.console.RunOn(ctx, own) })
	start(func() error { return passTime(ctx, ledger) })
	for _, face := range []*httpserver.Server{f.paypay, f.console} {
		face.Ready.Add("books", func(context.Context) error { return ledger.Tick() })
		go face.Ready.Watch(ctx)
	}
	group.Wait()
	return failed
}

// passTime lets cancels, refunds and expiries happen while nobody asks.
func passTime(ctx context.Context, ledger *books.Books) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := ledger.Tick(); err != nil {
				slog.Error("books", "error", err)
				return err
			}
		}
	}
}

// routes lists the routes of both faces without touching any file.
func routes(ctx context.Context) ([]httpserver.Route, error) {
	f, err := build(ctx, &Config{}, nil, &fault.Box{}, nil)
	if err != nil {
		return nil, err
	}
	return append(f.console.Routes(), f.paypay.Routes()...), nil
}
