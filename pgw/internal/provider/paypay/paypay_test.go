package paypay_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/pgw/internal/provider"
	"github.com/mpac-cloud/mpac/pgw/internal/provider/paypay"
	"github.com/mpac-cloud/mpac/pgw/internal/provider/paypay/paypaytest"
	"github.com/mpac-cloud/mpac/pgw/internal/provider/providertest"
	"github.com/mpac-cloud/mpac/platform/money"
)

func adapter(t *testing.T, url string, ips ...string) *paypay.Provider {
	t.Helper()
	p, err := paypay.New(paypay.Config{LiveURL: url, TestURL: url, CreateTimeout: 5 * time.Second, Timeout: 5 * time.Second, WebhookIPs: ips}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var credentials = provider.Credentials{
	Mode: "test", ContractID: paypaytest.MerchantID, StoreID: "store_1", APIKey: paypaytest.APIKey, APISecret: paypaytest.APISecret,
}

func TestConformance(t *testing.T) {
	t.Parallel()
	providertest.Run(t, func(t *testing.T) providertest.World {
		fake := paypaytest.New(t, time.Now)
		return providertest.World{
			Provider: adapter(t, fake.URL), Credentials: credentials, Amount: money.Amount{Minor: 1200, Currency: money.JPY},
			CustomerCode: "28123456789012345", PoorCode: paypaytest.PoorCustomer,
			Pay: fake.Pay, Net: func() int64 { return fake.Net()["store_1"] },
			Fail: func(op provider.Operation, f providertest.Fault) { fake.Fail(string(op), paypaytest.Fault(f)) },
			Hang: func(op provider.Operation) func() { return fake.Hold(string(op)) },
			Webhook: func(attemptID string) provider.WebhookRequest {
				return provider.WebhookRequest{Body: fmt.Appendf(nil, `{"notification_type":"Transaction","merchant_order_id":%q,"order_id":"PP1","order_amount":"1200","state":"COMPLETED"}`, attemptID)}
			},
		}
	})
}

// answering plays one answer, whatever is asked.
func answering(t *testing.T, status int, body string) provider.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return provider.NewClient(adapter(t, server.URL), credentials)
}

func result(code string) string {
	return `{"resultInfo":{"code":"` + code + `","message":"m","codeId":"0"},"data":null}`
}

func TestOutcomesOfACharge(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]struct {
		status int
		body   string
		class  provider.Class
		code   string
	}{
		"no funds":                  {400, result("NO_SUFFICIENT_FUND"), provider.ClassFailed, provider.CodeInsufficientFunds},
		"stale code":                {401, result("EXPIRED_USER_AUTHORIZATION_ID"), provider.ClassFailed, provider.CodeInvalidCode},
		"duplicate suspected":       {400, result("SUSPECTED_DUPLICATE_PAYMENT"), provider.ClassFailed, provider.CodeSuspectedDuplicate},
		"definitely failed":         {500, result("TRANSACTION_FAILED"), provider.ClassFailed, provider.CodeDeclined},
		"a code from the future":    {400, result("SOMETHING_NEW"), provider.ClassFailed, provider.CodeRejected},
		"inner error":               {500, result("INTERNAL_SERVER_ERROR"), provider.ClassUnknown, ""},
		"service error":             {500, result("SERVICE_ERROR"), provider.ClassUnknown, ""},
		"maintenance":               {503, result("MAINTENANCE_MODE"), provider.ClassUnknown, ""},
		"a gateway's page":          {502, "<html>", provider.ClassUnknown, ""},
		"a firewall's page":         {403, "<html>", provider.ClassUnknown, ""},
		"rate limit":                {429, "", provider.ClassNotNow, provider.CodeThrottled},
		"success without envelope":  {201, "{}", provider.ClassUnknown, ""},
		"success of unknown status": {201, `{"resultInfo":{"code":"SUCCESS"},"data":{"status":"MAYBE"}}`, provider.ClassUnknown, ""},
		"success of another shape":  {201, `{"resultInfo":{"code":"SUCCESS"},"data":"ok"}`, provider.ClassUnknown, ""},
		"redirect":                  {302, "", provider.ClassUnknown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := answering(t, v.status, v.body).Charge(context.Background(), provider.ChargeRequest{ID: "pa_1", CustomerCode: "28secretcode"})
			if err == nil || provider.ClassOf(err) != v.class || provider.CodeOf(err) != v.code {
				t.Errorf("%v: class %s, code %q", err, provider.ClassOf(err), provider.CodeOf(err))
			}
			if err != nil && (strings.Contains(err.Error(), "28secretcode") || strings.Contains(err.Error(), paypaytest.APISecret)) {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

func TestOutcomesOfARefund(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]struct {
		status int
		body   string
		class  provider.Class
		code   string
	}{
		"second refund":           {400, `{"resultInfo":{"code":"UNACCEPTABLE_OP","codeId":"00200014"}}`, provider.ClassFailed, provider.CodeOneRefundOnly},
		"second refund, 403":      {403, result("MERCHANT_MULTIPLE_REFUND_REJECTED"), provider.ClassFailed, provider.CodeOneRefundOnly},
		"not refundable":          {400, `{"resultInfo":{"code":"UNACCEPTABLE_OP","codeId":"00200013"}}`, provider.ClassFailed, provider.CodeNotRefundable},
		"a year is over":          {400, result("REFUND_WINDOW_EXCEED"), provider.ClassFailed, provider.CodeRefundWindow},
		"throttled":               {400, result("THROTTLED_MULTIPLE_REFUND_REJECTED"), provider.ClassNotNow, provider.CodeThrottled},
		"no such payment":         {404, result("RESOURCE_NOT_FOUND"), provider.ClassFailed, provider.CodeNotRefundable},
		"inner error":             {500, result("INTERNAL_SERVER_ERROR"), provider.ClassUnknown, ""},
		"definitely failed":       {500, result("TRANSACTION_FAILED"), provider.ClassFailed, provider.CodeDeclined},
		"success of another kind": {200, `{"resultInfo":{"code":"SUCCESS"},"data":{"status":"LATER"}}`, provider.ClassUnknown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := answering(t, v.status, v.body).Refund(context.Background(), provider.RefundRequest{ID: "re_1", PaymentID: "p", Amount: money.Amount{Minor: 1, Currency: money.JPY}})
			if err == nil || provider.ClassOf(err) != v.class || provider.CodeOf(err) != v.code {
				t.Errorf("%v: class %s, code %q", err, provider.ClassOf(err), provider.CodeOf(err))
			}
		})
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	p := adapter(t, "https://paypay.example")
	for name, v := range map[string]struct {
		method string
		amount money.Amount
		later  bool
		ok     bool
	}{
		"yen":                  {"qr_mpm", money.Amount{Minor: 1, Currency: money.JPY}, false, true},
		"eleven digits":        {"qr_mpm", money.Amount{Minor: 99_999_999_999, Currency: money.JPY}, true, true},
		"twelve digits":        {"qr_mpm", money.Amount{Minor: 100_000_000_000, Currency: money.JPY}, false, false},
		"dollars":              {"qr_mpm", money.Amount{Minor: 1, Currency: money.USD}, false, false},
		"a scanned code, held": {"qr_cpm", money.Amount{Minor: 1, Currency: money.JPY}, true, false},
	} {
		if err := p.Check(v.method, v.amount, v.later); (err == nil) != v.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWebhooksComeFromPayPay(t *testing.T) {
	t.Parallel()
	p := adapter(t, "https://paypay.example", "13.112.237.64", "52.199.148.0/24")
	body := []byte(`{"notification_type":"file.created","fileType":"transaction_recon","path":"https://files.paypay.example/d/transaction_1_2_3_v2.csv?sig=x"}`)
	for source, ok := range map[string]bool{"13.112.237.64": true, "52.199.148.9": true, "::ffff:13.112.237.64": true, "10.0.0.1": false, "": false} {
		notice, err := p.ReadWebhook(provider.WebhookRequest{Body: body, SourceIP: source})
		if ok != (err == nil) || (!ok && !errors.Is(err, provider.ErrWebhookRefused)) {
			t.Errorf("from %q: %v", source, err)
		}
		if ok && (notice.FileName != "transaction_1_2_3_v2.csv" || notice.AttemptID != "") {
			t.Errorf("notice %+v", notice)
		}
	}
	for _, bad := range []paypay.Config{{LiveURL: "x", TestURL: "https://a.example"}, {LiveURL: "https://a.example", TestURL: "https://a.example/path"}, {LiveURL: "https://a.example", TestURL: "https://a.example", WebhookIPs: []string{"nonsense"}}} {
		if _, err := paypay.New(bad, time.Now); err == nil {
			t.Errorf("accepted %+v", bad)
		}
	}
}
