package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/mpac-cloud/mpac/e2e/platform"
	"github.com/mpac-cloud/mpac/e2e/till"
)

func fetch(t *testing.T, url string) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	must(t, err)
	answer, err := http.DefaultClient.Do(r)
	must(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(t, err)
	if answer.StatusCode != http.StatusOK {
		t.Errorf("%s: %d %s", url, answer.StatusCode, text)
	}
	return text
}

// testBadInput sends what no terminal means, through the gateway: each is a problem document that names what is wrong, and
// nothing is sold by it. (Each service's own table of bad input is beside it.)
func testBadInput(t *testing.T, p *platform.Platform) {
	s := till.Open(t, p)
	terminal, err := s.Terminal(t.Context())
	must(t, err)
	item := func(price, quantity any) string {
		return fmt.Sprintf(`{"order_type":"takeaway","items":[{"name":"x","quantity":%v,"unit_price":%v,"tax_class":"standard"}]}`, quantity, price)
	}
	for name, try := range map[string]struct {
		path, body string
		status     int
		mention    string
	}{
		"malformed":          {"/orders", `{"order_type":`, 400, ""},
		"unknown field":      {"/orders", `{"order_type":"takeaway","items":[],"total":1}`, 422, "total"},
		"wrong type":         {"/orders", item(`"100"`, 1), 422, "unit_price"},
		"a fraction":         {"/orders", item("10.5", 1), 422, "unit_price"},
		"negative":           {"/orders", item(-1, 1), 422, "unit_price"},
		"no quantity":        {"/orders", item(100, 0), 422, "quantity"},
		"beyond 64 bits":     {"/orders", item("9223372036854775808", 1), 422, "unit_price"},
		"product overflows":  {"/orders", item(math.MaxInt64/2, 9999), 422, ""},
		"bad UTF-8":          {"/orders", "{\"order_type\":\"takeaway\",\"note\":\"\xff\"}", 400, ""},
		"NUL":                {"/orders", `{"order_type":"takeaway","note":"\u0000","items":[]}`, 400, ""},
		"a card number":      {"/orders", `{"order_type":"takeaway","note":"4242 4242 4242 4242","items":[{"name":"x","quantity":1,"unit_price":100,"tax_class":"standard"}]}`, 422, "note"},
		"unknown class":      {"/orders", `{"order_type":"takeaway","items":[{"name":"x","quantity":1,"unit_price":100,"tax_class":"luxury"}]}`, 422, "tax_class"},
		"a bill of nothing":  {"/bills", `{"order_ids":[]}`, 422, "order_ids"},
		"a payment too many": {"/payments", `{"bill_id":"01890a5d-ac96-774b-bcce-b302099a8057","method":"cash","tendered":100}`, 404, ""},
		"a bad method":       {"/payments", `{"bill_id":"01890a5d-ac96-774b-bcce-b302099a8057","method":"barter"}`, 422, "method"},
		"huge":               {"/orders", `{"note":"` + strings.Repeat("x", 3<<20) + `"}`, 413, ""},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, terminal.Base+"/api/v1"+try.path, strings.NewReader(try.body))
		must(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+terminal.Token)
		r.Header.Set("Idempotency-Key", "bad-"+strings.ReplaceAll(name, " ", "-"))
		answer, err := http.DefaultClient.Do(r)
		must(t, err)
		text, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != try.status || !strings.Contains(string(text), try.mention) {
			t.Errorf("%s: %d %s, want %d naming %q", name, answer.StatusCode, text, try.status, try.mention)
		}
		if kind := answer.Header.Get("Content-Type"); kind != "application/problem+json" && try.status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: answered as %s", name, kind)
		}
	}
	if status := statusOf(t, terminal.Base+"/api/v1/orders?cursor=nonsense", terminal.Token); status != http.StatusBadRequest {
		t.Errorf("a bad cursor: %d, want 400", status)
	}
	var orders struct {
		Data []json.RawMessage `json:"data"`
	}
	must(t, terminal.Get(t.Context(), "/api/v1/orders", nil, &orders))
	if len(orders.Data) != 0 {
		t.Errorf("%d orders came out of bad input", len(orders.Data))
	}
}

func statusOf(t *testing.T, url, token string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(r)
	must(t, err)
	_ = answer.Body.Close()
	return answer.StatusCode
}
