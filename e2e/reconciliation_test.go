package e2e_test

import (
	"errors"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mpac-cloud/mpac/e2e/platform"
	"github.com/mpac-cloud/mpac/e2e/till"
	"github.com/mpac-cloud/mpac/internal/ops/api"
	"github.com/mpac-cloud/mpac/internal/ops/local"
	"github.com/mpac-cloud/mpac/internal/ops/up"
)

var tokyo = time.FixedZone("Asia/Tokyo", 9*60*60)

// testReconciliation: a day's file in which one payment after the other is wrong in its own way. Each is found and named, the
// rest is matched and its store's day ends; the same file again changes nothing.
func testReconciliation(t *testing.T, p *platform.Platform) {
	s := till.Open(t, p)
	pay := func() string { // the attempt of a payment that was made
		b, err := s.NewBill(1000)
		must(t, err)
		started, err := s.StartQR(b)
		must(t, err)
		shown, err := s.ShowQR(started)
		must(t, err)
		must(t, s.WalletPays(shown.AttemptID))
		awaitCompleted(t, s, started)
		return shown.AttemptID
	}
	giveUp := func() string { // the attempt of one that was not
		started := started(t, s, 1000)
		shown, err := s.ShowQR(started)
		must(t, err)
		must(t, s.Cancel(started.ID))
		if _, err := s.Await(started.ID, "cancelled"); err != nil {
			t.Fatal(err)
		}
		return shown.AttemptID
	}
	want := map[string]string{}
	var asked []map[string]any
	for discrepancy, kind := range map[string]string{
		"missing_line": "missing_at_provider", "amount_differs": "amount_differs", "status_failed": "status_differs",
		"duplicate_line": "duplicate_at_provider", "unparsable_line": "unparsable", "late": "missing_at_provider",
	} {
		attempt := pay()
		want[attempt] = kind
		asked = append(asked, map[string]any{"kind": discrepancy, "merchant_payment_id": attempt})
	}
	unpaid := giveUp()
	want[unpaid] = "status_differs"
	asked = append(asked, map[string]any{"kind": "status_succeeded", "merchant_payment_id": unpaid},
		map[string]any{"kind": "extra_line"}, map[string]any{"kind": "refund_without_charge"})
	good := []string{pay(), pay()}

	// The file is cut at a whole second, and what is accepted in an unfinished window's last moments is not due yet.
	time.Sleep(3500 * time.Millisecond)
	date := settle(t, p, asked)
	first := exceptions(t, p)
	for attempt, kind := range want {
		if first[attempt].Kind != kind {
			t.Errorf("%s: found as %q, want %q", attempt, first[attempt].Kind, kind)
		}
	}
	for _, attempt := range good {
		if found, there := first[attempt]; there {
			t.Errorf("a payment with nothing wrong is an exception: %+v", found)
		}
	}
	for _, kind := range []string{"missing_at_gateway", "refund_without_charge"} {
		if !anyOf(first, kind) {
			t.Errorf("nothing was found of kind %s", kind)
		}
	}
	runMatcher(t, p, date)
	again := exceptions(t, p)
	maps.DeleteFunc(again, func(ref string, _ exception) bool { return want[ref] == "" })
	maps.DeleteFunc(first, func(ref string, _ exception) bool { return want[ref] == "" })
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("the same file again changed something:\n%s", diff)
	}
}

// settle lets the provider write its file of today until now, waits until nothing of it is too young to be judged, and matches
// it.
func settle(t *testing.T, p *platform.Platform, discrepancies []map[string]any) (date string) {
	t.Helper()
	now := time.Now()
	date = now.In(tokyo).Format(time.DateOnly)
	remembered := p.Remembered()
	must(t, api.Client{Base: p.Env("MPAC_SANDBOX_URL")}.Post(t.Context(), "/api/paypay/settlement_files", "", map[string]any{
		"merchant_id": remembered.PayPay.MerchantID, "date": date, "until": now.Format(time.RFC3339Nano), "discrepancies": discrepancies,
	}, nil))
	runMatcher(t, p, date)
	return date
}

func runMatcher(t *testing.T, p *platform.Platform, date string) {
	t.Helper()
	remembered := p.Remembered()
	must(t, api.Eventually(t.Context(), time.Minute, func() error {
		cmd := exec.CommandContext(t.Context(), filepath.Join(p.Bin(), "matcher"), "run", "--date", date, "--provider", "paypay", "--json")
		cmd.Env = append(os.Environ(), up.MatcherEnvironment(local.Dir(p.Dir()), &remembered)...)
		cmd.Env = append(cmd.Env, "MATCHER_GRACE=0s", "MATCHER_SETTLING=0s")
		out, err := cmd.Output()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == 2 { // exceptions are open, as they should be
			return nil
		}
		if err != nil {
			return errors.Join(err, errors.New(string(out)))
		}
		return nil
	}))
}

type exception struct {
	ID, Kind, Status string
}

// exceptions are the open ones, by what they are about.
func exceptions(t *testing.T, p *platform.Platform) map[string]exception {
	t.Helper()
	all := map[string]exception{}
	for cursor := ""; ; {
		var page struct {
			Data []struct {
				ID        string `json:"id"`
				Kind      string `json:"kind"`
				Status    string `json:"status"`
				GatewayID string `json:"gateway_id"`
				Reference string `json:"reference"`
			} `json:"data"`
			NextCursor *string `json:"next_cursor"`
		}
		query := url.Values{"limit": {"100"}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		must(t, gateway(p).Get(t.Context(), "/v1/reconciliation/exceptions", query, &page))
		for _, e := range page.Data {
			about := e.GatewayID
			if about == "" {
				about = e.Reference
			}
			if about == "" {
				about = e.ID
			}
			all[about] = exception{e.ID, e.Kind, e.Status}
		}
		if page.NextCursor == nil {
			return all
		}
		cursor = *page.NextCursor
	}
}

func anyOf(all map[string]exception, kind string) bool {
	for _, e := range all {
		if e.Kind == kind {
			return true
		}
	}
	return false
}
