package payment_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/payment"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/settlement"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tilltest"
)

func typed(t *testing.T, cmd *cobra.Command, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceUsage = true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func payments(till *tilltest.Till) *cobra.Command {
	return payment.Commands(func(context.Context) (*payment.Service, func(), error) { return till.Payments, func() {}, nil })
}

func settlements(till *tilltest.Till) *cobra.Command {
	return settlement.Commands(func(context.Context) (*settlement.Service, func(), error) { return till.Settlements, func() {}, nil })
}

// Somebody who is no tenant finds what hangs at any store, and has the gateway asked about it.
func TestOpenPaymentsAreFoundAndAskedFor(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	p := terminal.Pay(terminal.Bill(1080), "qr", nil)
	till.Gateway.Show(t, p.ID.String())
	if out, err := typed(t, payments(till), "open"); err != nil || !strings.Contains(out, "no payments") {
		t.Errorf("it has only begun: %v\n%s", err, out)
	}
	till.Clock.Advance(11 * time.Minute)
	if out, err := typed(t, payments(till), "open"); err != nil || !strings.Contains(out, p.ID.String()) || !strings.Contains(out, "1080 JPY") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := typed(t, payments(till), "ask", p.ID.String()); err == nil {
		t.Errorf("it has not ended:\n%s", out)
	}
	till.Gateway.Pay(t, p.ID.String())
	if out, err := typed(t, payments(till), "ask", p.ID.String()); err != nil || !strings.Contains(out, "completed") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, wrong := range []string{"1", "019abcde-0000-7000-8000-000000000000"} {
		if out, err := typed(t, payments(till), "ask", wrong); err == nil {
			t.Errorf("%s:\n%s", wrong, out)
		}
	}
}

func TestOverdueDaysAreListedByStore(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	terminal.Pay(terminal.Bill(1080), "cash", nil)
	till.Clock.Advance(20 * time.Hour)
	if out, err := typed(t, settlements(till), "overdue"); err != nil || !strings.Contains(out, "no days") {
		t.Errorf("it ended less than six hours ago: %v\n%s", err, out)
	}
	till.Clock.Advance(24 * time.Hour)
	if out, err := typed(t, settlements(till), "overdue"); err != nil || !strings.Contains(out, "2026-04-01") || !strings.Contains(out, till.Store.String()) {
		t.Errorf("%v\n%s", err, out)
	}
}
