package local

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// DefaultPortBase is where the platform's ports begin unless --port-base says otherwise.
const DefaultPortBase = 8000

// Ports are the platform's addresses on loopback, at fixed distances from the base.
type Ports struct {
	Edge, EdgeStatus, Portal, PGW, Smarttab, SandboxConsole, SandboxPayPay, Postgres, Redis int
	// The observability stack's, where it runs.
	OTLP, OTLPgRPC, CollectorHealth, Prometheus, Alertmanager, Loki, LokigRPC, Tempo, Pager int
}

// PortsFrom are the ports of a base.
func PortsFrom(base int) Ports {
	return Ports{
		Edge: base, EdgeStatus: base + 1, Portal: base + 2, PGW: base + 80, Smarttab: base + 81,
		SandboxConsole: base + 90, SandboxPayPay: base + 91, Postgres: base + 432, Redis: base + 379,
		OTLP: base + 318, OTLPgRPC: base + 317, CollectorHealth: base + 313, Prometheus: base + 390, Alertmanager: base + 393,
		Loki: base + 310, LokigRPC: base + 311, Tempo: base + 320, Pager: base + 394,
	}
}

// OfStack are the ports of the observability stack's processes, by their names.
func (p Ports) OfStack() map[string]int {
	return map[string]int{"collector": p.OTLP, "prometheus": p.Prometheus, "alertmanager": p.Alertmanager, "loki": p.Loki}
}

// Address is a port on loopback.
func Address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// URL is an HTTP address on loopback.
func URL(port int) string { return "http://" + Address(port) }

// Platform is what a folder's platform remembers from one start to the next: its ports, its secrets, each made for this folder
// alone, and how far its first data has come.
type Platform struct {
	PortBase int       `json:"port_base"`
	Created  time.Time `json:"created"`
	// External addresses, of the databases' owners, instead of a PostgreSQL of its own; and of Redis.
	SmartposDatabaseURL string `json:"smartpos_database_url,omitempty"`
	PGWDatabaseURL      string `json:"pgw_database_url,omitempty"`
	RedisURL            string `json:"redis_url,omitempty"`

	PostgresPassword string            `json:"postgres_password"`
	RedisPassword    string            `json:"redis_password"`
	RolePasswords    map[string]string `json:"role_passwords"` // owners and services
	Operator         Login             `json:"operator"`       // the first SYSTEM_OP
	Admin            Login             `json:"admin"`          // the seeded PSP's PSP_ADMIN
	PayPay           PayPay            `json:"paypay"`
	Seed             Seed              `json:"seed"`
	// ClockOffset moves the clocks of all the platform's processes, since the last start.
	ClockOffset time.Duration `json:"clock_offset,omitempty"`
	// Matched is the last business day, Tokyo, that the matcher's clock has done.
	Matched string `json:"matched,omitempty"`
}

// Login is a person's way in.
type Login struct {
	Email      string `json:"email"`
	Password   string `json:"password"`
	TOTPSecret string `json:"totp_secret,omitempty"` // base32, as an authenticator takes it
}

// PayPay is the contract with the wallet that the sandbox plays. The seeded merchant and the test partner share it: one set of
// credentials opens all of the sandbox's books.
type PayPay struct {
	APIKey     string `json:"api_key"`
	APISecret  string `json:"api_secret"`
	MerchantID string `json:"merchant_id"`
}

// Partner is a holder of keys at the gateway.
type Partner struct {
	ID        string `json:"partner_id"`
	APIKey    string `json:"api_key"`
	SecretKey string `json:"secret_key"`
	Mode      string `json:"mode"`
}

// Seed is the first data: each part is written down as soon as it is made, so that a start cut short goes on where it was.
type Seed struct {
	Smartpos    Partner `json:"smartpos"` // svc-portal's and svc-smarttab's, form 2 only
	Tester      Partner `json:"tester"`   // a partner of its own, form 1
	TesterShop  string  `json:"tester_shop,omitempty"`
	TesterStore string  `json:"tester_store,omitempty"`

	PSP      string `json:"psp,omitempty"`
	Merchant string `json:"merchant,omitempty"`
	Store    string `json:"store,omitempty"`
	Second   string `json:"second_store,omitempty"`
	Owner    Login  `json:"owner"`   // MERCHANT_ADMIN
	Manager  Login  `json:"manager"` // STORE_MANAGER
	Staff    Login  `json:"staff"`
	Terminal string `json:"terminal,omitempty"`
	Client   string `json:"client,omitempty"` // the terminal's client id

	AdminEnrolled bool `json:"admin_enrolled"`
	ProviderSet   bool `json:"provider_set"`
	TesterSet     bool `json:"tester_set"`
	Done          bool `json:"done"`
}

// NewPlatform makes the secrets of a new folder.
func NewPlatform(base int, now time.Time) (*Platform, error) {
	p := &Platform{
		PortBase: base, Created: now.UTC(), PostgresPassword: secret(), RedisPassword: secret(),
		RolePasswords: map[string]string{},
		Operator:      Login{Email: "operator@mpac.example", Password: secret(), TOTPSecret: totpSecret()},
		Admin:         Login{Email: "admin@psp.example", Password: secret()},
	}
	for _, role := range []string{"mpac_owner", "pgw_owner", "svc_portal", "svc_smarttab", "pgw_backend", "matcher"} {
		p.RolePasswords[role] = secret()
	}
	number, err := rand.Int(rand.Reader, big.NewInt(1e17))
	if err != nil {
		return nil, fmt.Errorf("secrets: %w", err)
	}
	p.PayPay = PayPay{
		APIKey: "a_" + secret(), APISecret: base64.StdEncoding.EncodeToString([]byte(secret())), MerchantID: fmt.Sprintf("5%017d", number),
	}
	p.Seed.Owner = Login{Email: "owner@hikari.example", Password: secret()}
	p.Seed.Manager = Login{Email: "manager@hikari.example", Password: secret()}
	p.Seed.Staff = Login{Email: "staff@hikari.example", Password: secret()}
	return p, nil
}

// secret is 128 random bits in letters and digits.
func secret() string { return rand.Text() }

func totpSecret() string {
	b := make([]byte, 20)
	_, _ = rand.Read(b) // never fails
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b)
}

// Now is the time by the platform's clocks.
func (p *Platform) Now() time.Time { return time.Now().UTC().Add(p.ClockOffset) }

// Load reads the folder's platform; ok is false when there is none yet.
func (d Dir) Load() (p *Platform, ok bool, err error) {
	text, err := os.ReadFile(d.Path("platform.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("--dir: %w", err)
	}
	p = &Platform{}
	if err := json.Unmarshal(text, p); err != nil {
		return nil, false, fmt.Errorf("%s is damaged (%w); start over with: mpac up --fresh --dir %s", d.Path("platform.json"), err, d)
	}
	return p, true, nil
}

// Save writes it, readable by its owner alone.
func (d Dir) Save(p *Platform) error { return writeJSON(d.Path("platform.json"), p) }

// Variable is a line of `mpac env`.
type Variable struct{ Name, Value string }

// Environment is what `mpac env` prints.
func (d Dir) Environment(p *Platform) []Variable {
	ports := PortsFrom(p.PortBase)
	return []Variable{
		{"MPAC_EDGE_URL", URL(ports.Edge)},
		{"MPAC_PORTAL_URL", URL(ports.Portal)},
		{"MPAC_SMARTTAB_URL", URL(ports.Smarttab)},
		{"MPAC_PGW_URL", URL(ports.PGW)},
		{"MPAC_SANDBOX_URL", URL(ports.SandboxConsole)},
		{"MPAC_SANDBOX_PAYPAY_URL", URL(ports.SandboxPayPay)},
		{"MPAC_PGW_API_KEY", p.Seed.Tester.APIKey},
		{"MPAC_PGW_SECRET_KEY", p.Seed.Tester.SecretKey},
		{"MPAC_PGW_MERCHANT_ID", p.Seed.TesterShop},
		{"MPAC_PGW_STORE_ID", p.Seed.TesterStore},
		{"MPAC_PAYPAY_API_KEY", p.PayPay.APIKey},
		{"MPAC_PAYPAY_API_SECRET", p.PayPay.APISecret},
		{"MPAC_PAYPAY_MERCHANT_ID", p.PayPay.MerchantID},
		{"MPAC_SMARTPOS_DATABASE_URL", p.DatabaseURL(Smartpos, "")},
		{"MPAC_PGW_DATABASE_URL", p.DatabaseURL(PGW, "")},
		{"MPAC_REDIS_URL", p.Redis()},
		{"MPAC_OTLP_URL", URL(ports.OTLP)},
		{"MPAC_PROMETHEUS_URL", URL(ports.Prometheus)},
		{"MPAC_ALERTMANAGER_URL", URL(ports.Alertmanager)},
		{"MPAC_LOKI_URL", URL(ports.Loki)},
		{"MPAC_ADMIN_EMAIL", p.Admin.Email},
		{"MPAC_ADMIN_PASSWORD", p.Admin.Password},
		{"MPAC_ADMIN_TOTP_SECRET", p.Admin.TOTPSecret},
		{"MPAC_MERCHANT_ID", p.Seed.Merchant},
		{"MPAC_STORE_ID", p.Seed.Store},
		{"MPAC_TERMINAL_CLIENT_ID", p.Seed.Client},
		{"MPAC_TERMINAL_KEY_FILE", d.TerminalKey()},
	}
}

// TerminalKey is the PEM file of the seeded terminal's private key.
func (d Dir) TerminalKey() string { return d.Path("keys", "terminal.pem") }

// Line is KEY=VALUE as a shell reads it back, whatever is in the value.
func (v Variable) Line() string { return v.Name + "=" + Quote(v.Value) }

// Quote makes one word of a text for a POSIX shell.
func Quote(s string) string {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789%+,-./:=?@_"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
