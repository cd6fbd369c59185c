package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"github.com/mpac-cloud/mpac/sandbox/internal/merchanttest"
)

// asSandbox makes this test binary behave as the sandbox itself.
const asSandbox = "SANDBOX_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asSandbox) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// process is a running sandbox.
type process struct {
	command         *exec.Cmd
	console, paypay string
	dir             string
	merchant        *merchanttest.Client
}

// freeAddress is a port that was free a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func start(t *testing.T, dir string, variables ...string) *process {
	t.Helper()
	p := &process{console: freeAddress(t), paypay: freeAddress(t), dir: dir}
	p.command = exec.CommandContext(t.Context(), os.Args[0], "serve")
	p.command.Env = append(os.Environ(), asSandbox+"=1", "SANDBOX_CONSOLE_ADDR="+p.console, "SANDBOX_PAYPAY_ADDR="+p.paypay,
		"SANDBOX_DATA_DIR="+dir, "SANDBOX_PAYPAY_API_KEY=k1", "SANDBOX_PAYPAY_API_SECRET=secret1", "SANDBOX_PAYPAY_MERCHANT_ID=m1")
	p.command.Env = append(p.command.Env, variables...)
	logs, err := p.command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // its log is shown where the test fails
		for lines := bufio.NewScanner(logs); lines.Scan(); {
			if strings.Contains(lines.Text(), `"level":"ERROR"`) {
				t.Log(lines.Text())
			}
		}
	}()
	t.Cleanup(func() { _ = p.command.Process.Kill(); _ = p.command.Wait() })
	p.merchant = &merchanttest.Client{Base: "http://" + p.paypay, Key: "k1", Secret: "secret1", MerchantID: "m1", Now: time.Now}
	p.waitReady(t)
	return p
}

func (p *process) waitReady(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for _, address := range []string{p.console, p.paypay} {
		for {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/ready", nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := http.DefaultClient.Do(request)
			if err == nil {
				_ = response.Body.Close()
				if response.StatusCode == http.StatusOK {
					break
				}
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s did not get ready: %v", address, err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// ask calls the console and returns the status and the document.
func (p *process) ask(t *testing.T, method, path string, body any) (int, map[string]any) {
	t.Helper()
	return contract{}.ask(t, p.request(t, method, path, body))
}

func (p *process) request(t *testing.T, method, path string, body any) *http.Request {
	t.Helper()
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+p.console+path, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return request
}

func (p *process) mustAsk(t *testing.T, method, path string, body any) map[string]any {
	t.Helper()
	status, document := p.ask(t, method, path, body)
	if status >= http.StatusBadRequest {
		t.Fatalf("%s %s: %d %v", method, path, status, document)
	}
	return document
}

func (p *process) create(t *testing.T, id string, amount int64) string {
	t.Helper()
	r := p.merchant.Call(t, http.MethodPost, "/v2/codes", merchanttest.Code(id, amount))
	if r.Status != http.StatusCreated {
		t.Fatalf("create: %+v", r)
	}
	return r.Data["codeId"].(string)
}

// The real process, killed with -9 after what it had answered, knows all of it when it is back.
func TestKillOfTheProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir)
	code := p.create(t, "paid", 1500)
	p.create(t, "open", 20)
	p.mustAsk(t, http.MethodPost, "/api/paypay/codes/"+code+"/pay", nil)
	if err := p.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.command.Wait()
	p = start(t, dir)
	if r := p.merchant.Call(t, http.MethodGet, "/v2/payments/paid", nil); r.Data["status"] != "COMPLETED" {
		t.Errorf("got %+v", r)
	}
	if r := p.merchant.Call(t, http.MethodGet, "/v2/codes/payments/open", nil); r.Data["status"] != "CREATED" {
		t.Errorf("got %+v", r)
	}
	if r := p.merchant.Call(t, http.MethodPost, "/v2/codes", merchanttest.Code("open", 20)); r.Code != "DUPLICATE_DYNAMIC_QR_REQUEST" {
		t.Errorf("got %+v", r)
	}
	total := p.mustAsk(t, http.MethodGet, "/api/paypay/totals", nil)["total"].(map[string]any)
	if total["captures"] != 1500.0 || total["net"] != 1500.0 {
		t.Errorf("got %v", total)
	}
}

// PayPay's SDKs speak HTTPS only: the same port takes it, with a certificate that the data folder holds.
func TestTheSamePortSpeaksTLS(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	certificate, err := os.ReadFile(filepath.Join(p.dir, "tls.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(certificate) {
		t.Fatal("no certificate")
	}
	secure := *p.merchant
	secure.Base = "https://" + p.paypay
	secure.HTTP = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	if r := secure.Call(t, http.MethodPost, "/v2/codes", merchanttest.Code("x", 1)); r.Status != http.StatusCreated {
		t.Errorf("got %+v", r)
	}
	p.mustAsk(t, http.MethodPost, "/api/faults", map[string]any{"operation": "create_code", "kind": "drop_connection_after"})
	if r, err := secure.Try(t.Context(), http.MethodPost, "/v2/codes", merchanttest.Code("y", 1)); err == nil {
		t.Errorf("answered: %+v", r)
	}
}

func TestSIGTERMEndsWhatAFaultHoldsBack(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	p.mustAsk(t, http.MethodPost, "/api/faults", map[string]any{"operation": "create_code", "kind": "slow", "delay_ms": 60_000})
	answered := make(chan error, 1)
	go func() {
		_, err := p.merchant.Try(context.WithoutCancel(t.Context()), http.MethodPost, "/v2/codes", merchanttest.Code("x", 1))
		answered <- err
	}()
	for len(p.mustAsk(t, http.MethodGet, "/api/faults", nil)["data"].([]any)) > 0 {
		time.Sleep(5 * time.Millisecond) // until the call has met the fault
	}
	if err := p.command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := p.command.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if err := <-answered; err != nil {
		t.Errorf("the call was cut: %v", err)
	}
}

// One walk through the console; every answer is held against its OpenAPI document.
func TestTheConsole(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "SANDBOX_CANCEL_DELAY=0s", "SANDBOX_REFUND_DELAY=0s")
	v := p.validator(t)
	call := func(method, path string, body any, status int) map[string]any {
		t.Helper()
		got, document := v.ask(t, p.request(t, method, path, body))
		if got != status {
			t.Fatalf("%s %s: %d %v, want %d", method, path, got, document, status)
		}
		return document
	}
	code := p.create(t, "a", 1500)
	paid := call(http.MethodPost, "/api/paypay/codes/"+code+"/pay", nil, 200)
	if paid["status"] != "COMPLETED" || paid["code_state"] != "used" || paid["wallet_url"] != "http://"+p.console+"/wallet/"+code {
		t.Errorf("paid: %v", paid)
	}
	if again := call(http.MethodPost, "/api/paypay/codes/"+code+"/pay", nil, 409); again["code"] != "not_payable" || again["reason"] != "ORDER_NOT_PAYABLE" {
		t.Errorf("again: %v", again)
	}
	p.create(t, "b", 20)
	declined := call(http.MethodPost, "/api/paypay/payments/b/decline", map[string]any{"reason": "LIMIT_EXCEEDED"}, 200)
	if declined["status"] != "FAILED" || declined["failure_code"] != "LIMIT_EXCEEDED" {
		t.Errorf("declined: %v", declined)
	}
	p.create(t, "c", 20)
	call(http.MethodPost, "/api/paypay/payments/c/decline", nil, 200)
	call(http.MethodGet, "/api/paypay/payments/a", nil, 200)
	call(http.MethodGet, "/api/paypay/payments/none", nil, 404)
	call(http.MethodPost, "/api/paypay/payments/a/webhook", map[string]any{"forged": true}, 200)
	if hooks := call(http.MethodGet, "/api/webhooks?merchant_payment_id=a", nil, 200)["data"].([]any); len(hooks) != 2 {
		t.Errorf("webhooks: %v", hooks)
	}
	page := call(http.MethodGet, "/api/paypay/payments?store_id=s1&limit=2", nil, 200)
	next := call(http.MethodGet, fmt.Sprintf("/api/paypay/payments?store_id=s1&limit=2&cursor=%v", page["next_cursor"]), nil, 200)
	if len(page["data"].([]any)) != 2 || len(next["data"].([]any)) != 1 || next["next_cursor"] != nil {
		t.Errorf("pages: %v %v", page, next)
	}
	call(http.MethodGet, "/api/paypay/payments?cursor=nonsense", nil, 400)
	call(http.MethodGet, "/api/paypay/totals?from=2020-01-01T00:00:00Z", nil, 200)
	if got := call(http.MethodGet, "/api/paypay/payments?code_id="+code, nil, 200)["data"].([]any); len(got) != 1 {
		t.Errorf("by code: %v", got)
	}
	faults(t, call)
	merchants(t, p, call)
	files(t, p, call)
}

type caller func(method, path string, body any, status int) map[string]any

func faults(t *testing.T, call caller) {
	t.Helper()
	made := call(http.MethodPost, "/api/faults", map[string]any{"operation": "refund", "kind": "error_after", "store_id": "s9"}, 201)
	call(http.MethodPost, "/api/faults", map[string]any{"operation": "webhook", "kind": "webhook_forged", "merchant_payment_id": "a"}, 201)
	call(http.MethodPost, "/api/faults", map[string]any{"operation": "refund", "kind": "webhook_drop"}, 422)
	call(http.MethodPost, "/api/faults", map[string]any{"operation": "refund", "kind": "refuse", "code": "NO_SUCH_CODE"}, 422)
	call(http.MethodPost, "/api/faults", map[string]any{"operation": "refund", "kind": "refuse", "code": "REFUND_LIMIT_EXCEEDED"}, 201)
	if got := call(http.MethodGet, "/api/faults", nil, 200)["data"].([]any); len(got) != 2 {
		t.Errorf("faults: %v", got)
	}
	call(http.MethodDelete, fmt.Sprintf("/api/faults/%v", made["id"]), nil, 204)
	call(http.MethodDelete, fmt.Sprintf("/api/faults/%v", made["id"]), nil, 404)
	call(http.MethodDelete, "/api/faults", nil, 204)
}

func merchants(t *testing.T, p *process, call caller) {
	t.Helper()
	second := map[string]any{"merchant_id": "m2", "api_key": "k2", "api_secret": "secret2", "settings": map[string]any{"multiple_refunds": false}}
	made := call(http.MethodPost, "/api/paypay/merchants", second, 201)
	if made["api_secret"] != nil || made["settings"].(map[string]any)["multiple_refunds"] != false {
		t.Errorf("made: %v", made)
	}
	second["webhook_url"], second["settings"] = "http://127.0.0.1:1/again", map[string]any{}
	again := call(http.MethodPost, "/api/paypay/merchants", second, 201)
	if again["webhook_url"] != "http://127.0.0.1:1/again" || again["settings"].(map[string]any)["multiple_refunds"] != false {
		t.Errorf("again: %v", again)
	}
	second["api_secret"] = "another"
	call(http.MethodPost, "/api/paypay/merchants", second, 409)
	client := *p.merchant
	client.Key, client.Secret, client.MerchantID = "k2", "secret2", "m2"
	if r := client.Call(t, http.MethodPost, "/v2/codes", merchanttest.Code("a", 5)); r.Status != http.StatusCreated {
		t.Errorf("the second merchant: %+v", r)
	}
	changed := call(http.MethodPatch, "/api/paypay/merchants/m2", map[string]any{"settings": map[string]any{"code_life_seconds": 9}}, 200)
	if s := changed["settings"].(map[string]any); s["code_life_seconds"] != 9.0 || s["multiple_refunds"] != false {
		t.Errorf("changed: %v", changed)
	}
	call(http.MethodPatch, "/api/paypay/merchants/m9", map[string]any{}, 404)
	call(http.MethodGet, "/api/paypay/merchants", nil, 200)
}

func files(t *testing.T, p *process, call caller) {
	t.Helper()
	date := time.Now().UTC().Add(9 * time.Hour).Format(time.DateOnly)
	ask := map[string]any{"date": date, "notify": true, "discrepancies": []any{map[string]any{"kind": "amount_differs", "merchant_payment_id": "a"}}}
	f := call(http.MethodPost, "/api/paypay/settlement_files", ask, 201)
	if hit := f["discrepancies"].([]any)[0].(map[string]any); hit["merchant_payment_id"] != "a" || hit["amount"] != 1501.0 || f["lines"] != 3.0 {
		t.Errorf("file: %v", f)
	}
	inside, err := os.ReadFile(f["path"].(string))
	if err != nil {
		t.Fatal(err)
	}
	for name, address := range map[string]string{"link": f["url"].(string), "console": "http://" + p.console + "/api/paypay/settlement_files/" + f["name"].(string)} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if !bytes.Equal(got, inside) {
			t.Errorf("%s gives %d %q", name, response.StatusCode, got)
		}
	}
	call(http.MethodGet, "/api/paypay/settlement_files", nil, 200)
	call(http.MethodGet, "/api/paypay/settlement_files/none.csv", nil, 404)
	call(http.MethodPost, "/api/paypay/settlement_files", map[string]any{"date": "2020-01-01", "discrepancies": []any{map[string]any{"kind": "late"}}}, 409)
	call(http.MethodPost, "/api/paypay/settlement_files", map[string]any{"date": date, "until": "2020-01-01T00:00:00Z"}, 422)
	call(http.MethodPost, "/api/paypay/settlement_files", map[string]any{"date": date, "merchant_id": "m9"}, 422)
}

// contract holds answers against the OpenAPI document; an empty one lets all pass.
type contract struct{ validator.Validator }

// ask sends a request and returns the answer's status and document.
func (c contract) ask(t *testing.T, request *http.Request) (int, map[string]any) {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if c.Validator != nil {
		response.Body = io.NopCloser(bytes.NewReader(raw))
		if ok, wrong := c.ValidateHttpResponse(request, response); !ok {
			t.Errorf("%s %s %d %s does not keep the contract: %v", request.Method, request.URL, response.StatusCode, raw, wrong)
		}
	}
	var document map[string]any
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &document); err != nil {
			t.Fatalf("%s %s: %d %q", request.Method, request.URL, response.StatusCode, raw)
		}
	}
	return response.StatusCode, document
}

func (p *process) validator(t *testing.T) contract {
	t.Helper()
	request := p.request(t, http.MethodGet, "/openapi.json", nil)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	document, err := libopenapi.NewDocument(raw)
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(document)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if ok, found := v.ValidateDocument(); !ok {
		t.Fatalf("the document is not valid: %v", found)
	}
	return contract{v}
}
