package wallet_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/sandbox/internal/books"
	"github.com/mpac-cloud/mpac/sandbox/internal/books/bookstest"
	"github.com/mpac-cloud/mpac/sandbox/internal/wallet"
)

type bundle struct {
	books  *books.Books
	clock  *clock.Manual
	engine *gin.Engine
}

func setup(t *testing.T) *bundle {
	t.Helper()
	gin.SetMode(gin.TestMode)
	b := &bundle{engine: gin.New()}
	b.books, b.clock = bookstest.Open(t)
	(&wallet.Wallet{Books: b.books}).Mount(b.engine)
	return b
}

func (b *bundle) get(t *testing.T, path, languages string) (int, string) {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	request.Header.Set("Accept-Language", languages)
	answer := httptest.NewRecorder()
	b.engine.ServeHTTP(answer, request)
	return answer.Code, answer.Body.String()
}

func (b *bundle) post(t *testing.T, path string, form url.Values) string {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer := httptest.NewRecorder()
	b.engine.ServeHTTP(answer, request)
	if answer.Code != http.StatusSeeOther {
		t.Fatalf("%s: %d %s", path, answer.Code, answer.Body)
	}
	return answer.Header().Get("Location")
}

func contains(t *testing.T, page string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(page, w) {
			t.Errorf("%q is missing from\n%s", w, page)
		}
	}
}

func TestPay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	o := bookstest.Code(t, b.books, "order-1", "s1", 1234567)
	if _, page := b.get(t, "/", "ja"); !strings.Contains(page, "/wallet/"+o.Code.ID) {
		t.Error("the list does not show the code")
	}
	o = bookstest.Code(t, b.books, "order-2", "s1", 12345)
	address := "/wallet/" + o.Code.ID
	status, page := b.get(t, address, "ja")
	if status != http.StatusOK {
		t.Fatal(status)
	}
	contains(t, page, `lang="ja"`, "喫茶店", "¥</span>12,345", "order-2", "支払う ¥12,345", "支払わない", "12:05:00")
	to := b.post(t, address+"/pay", nil)
	_, page = b.get(t, to, "ja")
	contains(t, page, "支払いが完了しました", "good")
	if strings.Contains(page, "<button") {
		t.Error("a paid code can be paid")
	}
	if o, err := b.books.Order(books.Ref{MerchantPaymentID: "order-2"}); err != nil || o.Status != books.Completed {
		t.Errorf("%s %v", o.Status, err)
	}
}

func TestDecline(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for reason, kept := range map[string]string{"LIMIT_EXCEEDED": "LIMIT_EXCEEDED", "": "NO_SUFFICIENT_FUND", "nonsense": "NO_SUFFICIENT_FUND"} {
		o := bookstest.Code(t, b.books, "order"+reason, "s1", 1)
		_, page := b.get(t, b.post(t, "/wallet/"+o.Code.ID+"/decline?lang=en", url.Values{"reason": {reason}}), "ja")
		contains(t, page, "Not paid", "ask the shop for a new code")
		if o, err := b.books.Order(books.Ref{CodeID: o.Code.ID}); err != nil || o.Status != books.Failed || o.FailureCode != kept {
			t.Errorf("%q: %s %s %v", reason, o.Status, o.FailureCode, err)
		}
	}
}

// Whatever came in between, the page says what is so now.
func TestStates(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		happens func(*bundle, books.Order) error
		says    string
	}{
		"expired": {func(b *bundle, _ books.Order) error { b.clock.Advance(5 * time.Minute); return nil }, "The code has expired"},
		"deleted": {func(b *bundle, o books.Order) error { return b.books.DeleteCode("m1", o.Code.ID) }, "no longer valid"},
		"cancelled": {func(b *bundle, o books.Order) error {
			if err := b.books.Cancel(o.Key()); err != nil {
				return err
			}
			_, err := b.books.Pay(books.Ref{CodeID: o.Code.ID})
			b.clock.Advance(time.Second)
			return err
		}, "Payment cancelled"},
		"refunded": {func(b *bundle, o books.Order) error {
			o, err := b.books.Pay(books.Ref{CodeID: o.Code.ID})
			if err == nil {
				_, err = b.books.Refund("m1", o.PaymentID, books.Refund{MerchantRefundID: "r", Amount: o.Amount})
			}
			return err
		}, "Refunded"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			o := bookstest.Code(t, b.books, "x", "s1", 100)
			if err := c.happens(b, o); err != nil {
				t.Fatal(err)
			}
			_, page := b.get(t, b.post(t, "/wallet/"+o.Code.ID+"/pay?lang=en", nil), "en")
			contains(t, page, c.says)
			if strings.Contains(page, "<button") {
				t.Error("it can be paid")
			}
		})
	}
}

func TestLanguages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for wanted, header := range map[string]string{
		"支払い待ち": "ja-JP,en;q=0.5", "Codes waiting": "en-GB, ja", "Codes waiting for": "fr, en;q=0.9", "支払い待ちのコード": "fr",
	} {
		if _, page := b.get(t, "/", header); !strings.Contains(page, wanted) {
			t.Errorf("%q does not bring %q", header, wanted)
		}
	}
	if _, page := b.get(t, "/?lang=en", "ja"); !strings.Contains(page, "No code waits") {
		t.Error("the address's wish is not heard")
	}
}

func TestNothingComesFromOutside(t *testing.T) {
	t.Parallel()
	b := setup(t)
	o, err := b.books.CreateCode(books.NewOrder{Order: books.Order{
		MerchantID: "m1", MerchantPaymentID: "x", Amount: 1, Description: `<script src="https://evil.example/x.js"></script>`, RedirectURL: "javascript:alert(1)",
	}})
	if err != nil {
		t.Fatal(err)
	}
	b.post(t, "/wallet/"+o.Code.ID+"/pay", nil)
	_, page := b.get(t, "/wallet/"+o.Code.ID, "en")
	if strings.Contains(page, "<script") || strings.Contains(page, "javascript:") || strings.Contains(page, "//cdn") {
		t.Errorf("the page brings something in:\n%s", page)
	}
	if status, css := b.get(t, "/wallet/assets/wallet.css", ""); status != http.StatusOK || strings.Contains(css, "http") || strings.Contains(css, "@import") {
		t.Errorf("style sheet: %d", status)
	}
	if status, _ := b.get(t, "/wallet/04-none", "en"); status != http.StatusNotFound {
		t.Errorf("an unknown code: %d", status)
	}
}
