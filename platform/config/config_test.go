package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/platform/config"
)

type database struct {
	URL config.Secret `env:"DATABASE_URL,required" doc:"where it is"`
}

type settings struct {
	Addr     string        `env:"ADDR" envDefault:":1" doc:"where to listen"`
	Every    time.Duration `env:"EVERY" envDefault:"2s" doc:"how often"`
	Database database
}

func (s *settings) Check() error {
	if s.Every < 0 {
		return errors.New("  EVERY must not be negative")
	}
	return nil
}

func TestAllErrorsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := config.LoadFrom[settings](map[string]string{"EVERY": "soon"})
	if err == nil || !strings.Contains(err.Error(), "Every") || !strings.Contains(err.Error(), "DATABASE_URL") {
		t.Errorf("got %v, want both EVERY and DATABASE_URL named", err)
	}
	if _, err := config.LoadFrom[settings](map[string]string{"DATABASE_URL": "x", "EVERY": "-1s"}); err == nil {
		t.Error("the check was not asked")
	}
}

func TestSecretsShowThemselvesToRevealOnly(t *testing.T) {
	t.Parallel()
	cfg, err := config.LoadFrom[settings](map[string]string{"DATABASE_URL": "postgres://u:hunter2@h/d"})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "cfg", cfg, "url", cfg.Database.URL)
	fmt.Fprintf(&out, "%v %+v %#v %s %q", cfg, cfg, cfg, cfg.Database.URL, cfg.Database.URL)
	if err := config.WriteJSON(&out, &cfg, nil, nil); err != nil {
		t.Fatal(err)
	}
	config.WriteHelp[settings](&out)
	if strings.Contains(out.String(), "hunter2") {
		t.Errorf("the secret shows:\n%s", out.String())
	}
	if cfg.Database.URL.Reveal() != "postgres://u:hunter2@h/d" {
		t.Error("Reveal does not reveal")
	}
	for _, want := range []string{"ADDR", "where to listen", `"secret": true`, "(required)", "(default 2s)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing from\n%s", want, out.String())
		}
	}
}
