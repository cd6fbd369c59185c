package up

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/mpac-cloud/mpac/internal/ops/local"
	"github.com/mpac-cloud/mpac/internal/ops/supervise"
)

// libpq are variables of PostgreSQL's own clients: somebody's shell must not lead a service elsewhere.
var libpq = regexp.MustCompile(`^(PG(HOST|HOSTADDR|PORT|DATABASE|USER|PASSWORD|PASSFILE|SERVICE|SERVICEFILE|OPTIONS|SSL[A-Z]*|APPNAME|TZ|CONNECT_TIMEOUT|TARGETSESSIONATTRS)|DATABASE_URL|REDIS_URL|LISTEN_ADDR)=`)

// ofOneMachine are settings in which a platform on one machine differs from production: an unknown outcome is asked for so long
// only that even its cancel at the provider is certain within a minute.
var ofOneMachine = []string{"INTENT_CHASE_WINDOW=20s"}

// inherited is what the platform's processes get of our environment: OTEL_*, LOG_LEVEL, and whatever a service can be tuned by.
func inherited(environ []string) []string {
	return append(slices.Clone(ofOneMachine), slices.DeleteFunc(slices.Clone(environ), libpq.MatchString)...)
}

// environment is a service's: ours, then what every process of a local platform has, then its own.
func (r *runner) environment(own ...string) []string {
	return slices.Concat(r.inherit, []string{
		"MPAC_LOCAL=1", "MPAC_CLOCK_OFFSET=" + r.p.ClockOffset.String(), "MPAC_FAILPOINT_DIR=" + r.o.Dir.Path("failpoints"), "REDIS_URL=" + r.p.Redis(),
	}, own)
}

// serviceChild is one of our own binaries, serving.
func (r *runner) serviceChild(name, readyURL string, env ...string) supervise.Child {
	return supervise.Child{
		Name: name, Path: filepath.Join(r.o.Bin, name), Args: []string{"serve"}, Env: r.environment(env...),
		Dir: string(r.o.Dir), LogFile: r.o.Dir.Log(name), Ready: supervise.Answers(readyURL),
		Stop: syscall.SIGTERM, Grace: 15 * time.Second,
	}
}

// command runs one of our own binaries to its end.
func (r *runner) command(ctx context.Context, name string, args []string, env ...string) ([]byte, error) {
	return supervise.Run(ctx, supervise.Child{
		Name: name + " " + args[0], Path: filepath.Join(r.o.Bin, name), Args: args, Env: r.environment(env...), Dir: string(r.o.Dir),
		Stop: syscall.SIGTERM,
	})
}

func (r *runner) migratePGW(ctx context.Context) error {
	return r.migrate(ctx, local.PGW, []string{"pgw-backend"}, "pgw_backend", "matcher")
}

func (r *runner) migrateSmartpos(ctx context.Context) error {
	// One history, whoever runs it; each also makes ready what is its own.
	return r.migrate(ctx, local.Smartpos, []string{"svc-portal", "svc-smarttab"}, "svc_portal", "svc_smarttab")
}

// migrate brings a database to the newest version and gives its services' roles their passwords.
func (r *runner) migrate(ctx context.Context, d local.Database, binaries []string, roles ...string) error {
	var passwords []string
	for _, role := range roles {
		passwords = append(passwords, role+"="+r.p.RolePasswords[role])
	}
	for _, binary := range binaries {
		_, err := r.command(ctx, binary, []string{"migrate"},
			"DATABASE_URL="+r.p.DatabaseURL(d, d.Owner), "ROLE_PASSWORDS="+strings.Join(passwords, ","))
		if err != nil {
			return err
		}
	}
	return nil
}

// partners makes sure of the keys at the payment gateway: the SmartPOS services', and those of a partner to test with.
func (r *runner) partners(ctx context.Context) error {
	for _, wanted := range []struct {
		into *local.Partner
		args []string
	}{
		{&r.p.Seed.Smartpos, []string{"--name", "MPAC SmartPOS", "--form2-only"}},
		{&r.p.Seed.Tester, []string{"--name", "Example Partner"}},
	} {
		if wanted.into.APIKey != "" {
			continue
		}
		out, err := r.command(ctx, "pgw-backend", append([]string{"partner", "create", "--mode", "test", "--json"}, wanted.args...), r.pgwEnvironment()...)
		if err != nil {
			return err
		}
		var made local.Partner
		if err := json.Unmarshal(out, &made); err != nil {
			return fmt.Errorf("pgw-backend partner create: the answer can't be read: %w", err)
		}
		if err := r.remember(func(*local.Platform) { *wanted.into = made }); err != nil {
			return err
		}
	}
	return nil
}

// sealKey makes sure of a file with a key that wraps a service's data keys.
func (r *runner) sealKey(name string) error {
	path := r.o.Dir.Path("keys", name)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	if err := os.WriteFile(path, []byte("local-1:"+base64.StdEncoding.EncodeToString(key)+"\n"), 0o600); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	return nil
}

func (r *runner) pgwEnvironment() []string {
	sandbox := local.URL(r.ports.SandboxPayPay)
	return []string{
		"LISTEN_ADDR=" + local.Address(r.ports.PGW), "DATABASE_URL=" + r.p.DatabaseURL(local.PGW, "pgw_backend"),
		"SEAL_KEY_FILE=" + r.o.Dir.Path("keys", "pgw.seal"), "PAYPAY_TEST_URL=" + sandbox, "PAYPAY_LIVE_URL=" + sandbox,
		"PROVIDER_FILE_HOSTS=" + sandbox,
	}
}

func (r *runner) pgwBackend(ctx context.Context) error {
	return r.run(ctx, r.serviceChild("pgw-backend", local.URL(r.ports.PGW)+"/ready", r.pgwEnvironment()...), r.ports.PGW)
}

func (r *runner) pgwClient() []string {
	return []string{
		"PGW_URL=" + local.URL(r.ports.PGW), "PGW_API_KEY=" + r.p.Seed.Smartpos.APIKey, "PGW_SECRET_KEY=" + r.p.Seed.Smartpos.SecretKey,
	}
}

func (r *runner) portalEnvironment() []string {
	edge := local.URL(r.ports.Edge)
	return append(r.pgwClient(),
		"LISTEN_ADDR="+local.Address(r.ports.Portal), "DATABASE_URL="+r.p.DatabaseURL(local.Smartpos, "svc_portal"),
		"SEAL_KEY_FILE="+r.o.Dir.Path("keys", "portal.seal"), "PUBLIC_URL="+edge, "PORTAL_URL="+local.URL(r.ports.Portal),
		"TRUSTED_PROXIES=127.0.0.1/32",
		"SEED_ADMIN_EMAIL="+r.p.Operator.Email, "SEED_ADMIN_PASSWORD="+r.p.Operator.Password, "SEED_ADMIN_TOTP_SECRET="+r.p.Operator.TOTPSecret)
}

func (r *runner) svcPortal(ctx context.Context) error {
	return r.run(ctx, r.serviceChild("svc-portal", local.URL(r.ports.Portal)+"/ready", r.portalEnvironment()...), r.ports.Portal)
}

func (r *runner) smarttabEnvironment() []string {
	return append(r.pgwClient(), "LISTEN_ADDR="+local.Address(r.ports.Smarttab),
		"DATABASE_URL="+r.p.DatabaseURL(local.Smartpos, "svc_smarttab"), "PORTAL_URL="+local.URL(r.ports.Portal), "TRUSTED_PROXIES=127.0.0.1/32")
}

func (r *runner) svcSmarttab(ctx context.Context) error {
	return r.run(ctx, r.serviceChild("svc-smarttab", local.URL(r.ports.Smarttab)+"/ready", r.smarttabEnvironment()...), r.ports.Smarttab)
}

// paypayWebhooks is where pgw-backend takes PayPay's notifications.
const paypayWebhooks = "/v1/providers/paypay/webhooks"

func (r *runner) sandbox(ctx context.Context) error {
	return r.run(ctx, r.serviceChild("sandbox", local.URL(r.ports.SandboxConsole)+"/ready",
		"LISTEN_ADDR="+local.Address(r.ports.SandboxConsole),
		"SANDBOX_CONSOLE_ADDR="+local.Address(r.ports.SandboxConsole), "SANDBOX_PAYPAY_ADDR="+local.Address(r.ports.SandboxPayPay),
		"SANDBOX_DATA_DIR="+r.o.Dir.Path("sandbox"), "SANDBOX_SETTLEMENT_DIR="+r.o.Dir.Path("settlement"),
		"SANDBOX_PAYPAY_API_KEY="+r.p.PayPay.APIKey, "SANDBOX_PAYPAY_API_SECRET="+r.p.PayPay.APISecret,
		"SANDBOX_PAYPAY_MERCHANT_ID="+r.p.PayPay.MerchantID,
		"SANDBOX_WEBHOOK_URL="+local.URL(r.ports.PGW)+paypayWebhooks,
	), r.ports.SandboxConsole)
}

// kongFile is the rendered configuration that the edge reads.
func (r *runner) kongFile() string { return r.o.Dir.Path("gateway", "kong.yml") }

func (r *runner) edge(ctx context.Context) error {
	if err := r.render(ctx); err != nil {
		return err
	}
	child := r.serviceChild("edge", local.URL(r.ports.EdgeStatus)+"/status/ready",
		"LISTEN_ADDR="+local.Address(r.ports.Edge), "STATUS_ADDR="+local.Address(r.ports.EdgeStatus), "KONG_DECLARATIVE_CONFIG="+r.kongFile(),
		"REDIS_PASSWORD="+redisPassword(r.p.Redis()))
	return r.run(ctx, child, r.ports.Edge)
}

func redisPassword(address string) string {
	if u, err := url.Parse(address); err == nil {
		password, _ := u.User.Password()
		return password
	}
	return ""
}

// render fills kong.yml with the addresses and svc-portal's keys of the moment.
func (r *runner) render(ctx context.Context) error {
	args := []string{"render", "--portal", local.URL(r.ports.Portal), "--smarttab", local.URL(r.ports.Smarttab), "--redis-auth", "--out", r.kongFile()}
	u, err := url.Parse(r.p.Redis())
	if err != nil {
		return errors.New("the address of Redis can't be read")
	}
	port := u.Port()
	if port == "" {
		port = "6379"
	}
	args = append(args, "--redis-host", u.Hostname(), "--redis-port", port)
	if limit := os.Getenv("MPAC_OPEN_LIMIT"); limit != "" {
		args = append(args, "--open-limit", limit)
	}
	if traces := tracesEndpoint(r.getenv); traces != "" {
		args = append(args, "--traces-endpoint", traces, "--traces-service", "edge", "--traces-sampling", tracesSampling(os.Getenv))
	}
	_, err = r.command(ctx, "edge", args)
	return err
}

// getenv is a variable as our own binaries get it: the last of its name.
func (r *runner) getenv(name string) string {
	for _, v := range slices.Backward(r.inherit) {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// tracesEndpoint is where spans go by the standard variables; "" when they ask for none.
func tracesEndpoint(getenv func(string) string) string {
	if own := getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"); own != "" {
		return own
	}
	if all := getenv("OTEL_EXPORTER_OTLP_ENDPOINT"); all != "" {
		return strings.TrimSuffix(all, "/") + "/v1/traces"
	}
	return ""
}

// tracesSampling is the share of traces that begin at the gateway, by the standard variables: the services follow it.
func tracesSampling(getenv func(string) string) string {
	switch getenv("OTEL_TRACES_SAMPLER") {
	case "always_off", "parentbased_always_off":
		return "0"
	case "traceidratio", "parentbased_traceidratio":
		if share := getenv("OTEL_TRACES_SAMPLER_ARG"); share != "" {
			return share
		}
	}
	return "1"
}

// followKeys renders kong.yml again every 30 s, as the sidecar does in the cloud: keys rotate.
func (r *runner) followKeys(ctx context.Context) {
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := r.render(ctx); err != nil && ctx.Err() == nil {
				r.out.Printf("  %s  the gateway's keys could not be read again: %v\n", r.out.Warn("note"), err)
			}
		}
	}
}
