package main

import (
	"cmp"
	"errors"
	"path/filepath"
	"time"

	"github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/service"
	"github.com/mpac-cloud/mpac/sandbox/internal/books"
)

// Config is what an operator may set. There are no default credentials.
type Config struct {
	service.Local
	ConsoleAddr     string        `env:"SANDBOX_CONSOLE_ADDR" envDefault:"127.0.0.1:8090" doc:"where the console and the wallet listen"`
	PayPayAddr      string        `env:"SANDBOX_PAYPAY_ADDR" envDefault:"127.0.0.1:8091" doc:"where PayPay's API listens, plain HTTP and TLS on the same port"`
	ConsoleURL      string        `env:"SANDBOX_CONSOLE_URL" doc:"the console's address as a payer's phone sees it (default http://SANDBOX_CONSOLE_ADDR)"`
	PayPayURL       string        `env:"SANDBOX_PAYPAY_URL" doc:"the API's address as a merchant sees it (default http://SANDBOX_PAYPAY_ADDR)"`
	DataDir         string        `env:"SANDBOX_DATA_DIR,required" doc:"where the books are kept"`
	SettlementDir   string        `env:"SANDBOX_SETTLEMENT_DIR" doc:"where settlement files are written (default SANDBOX_DATA_DIR/settlement)"`
	APIKey          string        `env:"SANDBOX_PAYPAY_API_KEY,required" doc:"the first merchant's key"`
	APISecret       config.Secret `env:"SANDBOX_PAYPAY_API_SECRET,required" doc:"and its secret"`
	MerchantID      string        `env:"SANDBOX_PAYPAY_MERCHANT_ID,required" doc:"the first merchant's id"`
	Brand           string        `env:"SANDBOX_BRAND" envDefault:"サンドボックス商店" doc:"the first merchant's name, as the payer sees it"`
	WebhookURL      string        `env:"SANDBOX_WEBHOOK_URL" doc:"where webhooks go; empty: none are sent"`
	MultipleRefunds bool          `env:"SANDBOX_MULTIPLE_REFUNDS" envDefault:"true" doc:"whether an order may have several refunds (PayPay's contracts begin without)"`
	CodeLife        time.Duration `env:"SANDBOX_CODE_LIFE" envDefault:"300s" doc:"how long a QR code lives"`
	CancelDelay     time.Duration `env:"SANDBOX_CANCEL_DELAY" envDefault:"300ms" doc:"from a cancel's acceptance to its effect"`
	RefundDelay     time.Duration `env:"SANDBOX_REFUND_DELAY" envDefault:"300ms" doc:"from a refund's CREATED to REFUNDED"`
}

// Check refuses what no code or refund could live by.
func (c *Config) Check() error {
	if c.CodeLife < time.Second || c.CancelDelay < 0 || c.RefundDelay < 0 {
		return errors.Join(c.Local.Check(), errors.New("  SANDBOX_CODE_LIFE must be 1s or more, the delays not negative"))
	}
	return c.Local.Check()
}

func (c *Config) consoleURL() string { return cmp.Or(c.ConsoleURL, "http://"+c.ConsoleAddr) }
func (c *Config) payPayURL() string  { return cmp.Or(c.PayPayURL, "http://"+c.PayPayAddr) }
func (c *Config) walletURL() string  { return c.consoleURL() + "/wallet/" }
func (c *Config) journal() string    { return filepath.Join(c.DataDir, "books.journal") }
func (c *Config) settlementDir() string {
	return cmp.Or(c.SettlementDir, filepath.Join(c.DataDir, "settlement"))
}

// merchant is the first merchant as the environment describes it.
func (c *Config) merchant() books.Merchant {
	s := books.DefaultSettings()
	s.MultipleRefunds = c.MultipleRefunds
	s.CodeLifeSeconds = int(c.CodeLife / time.Second)
	s.CancelDelayMS = int(c.CancelDelay / time.Millisecond)
	s.RefundDelayMS = int(c.RefundDelay / time.Millisecond)
	return books.Merchant{
		ID: c.MerchantID, Brand: c.Brand, APIKey: c.APIKey, APISecret: c.APISecret.Reveal(), WebhookURL: c.WebhookURL, Settings: s,
	}
}
