package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/pgw/client"
	"github.com/mpac-cloud/mpac/pgw/internal/provider/paypay/paypaytest"
	"github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/hmacsig"
)

// client is a partner's server beside the gateway, with its own clock.
func (b *bundle) client(options ...client.Option) *client.Client {
	b.t.Helper()
	c, err := client.New(client.Config{URL: b.url, APIKey: b.caller.APIKey, SecretKey: config.Secret(b.caller.SecretKey)}, b.clock.Now, options...)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// number events as the running gateway does.
func (b *bundle) feed() {
	b.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{}, 2)
	go func() { b.gateway.events.Run(ctx); done <- struct{}{} }()
	go func() { b.gateway.hub.Run(ctx, b.gateway.db); done <- struct{}{} }()
	b.t.Cleanup(func() { stop(); <-done; <-done })
}

func newSale(method string) client.CreatePaymentIntent {
	return client.CreatePaymentIntent{
		Amount: 1200, Currency: "JPY", PaymentMethodTypes: []string{method}, MerchantID: merchantID, MerchantStoreID: storeID,
		MerchantRefID: fresh("ref"), Description: "Table 7", Metadata: map[string]string{"table": "7"},
	}
}

// A sale, its refund and its story, seen only through the client.
func TestClientSellsAndRefunds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.feed()
	b.sweep()
	c, ctx := b.client(), t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	start, err := c.Events(ctx, client.Events{})
	must(err)

	created, err := c.CreatePaymentIntent(ctx, "sale-1", newSale(client.QRMPM))
	must(err)
	shown, err := c.Confirm(ctx, "sale-1-confirm", created.ID, client.Confirm{PaymentMethodType: client.QRMPM, Provider: "paypay"})
	must(err)
	if shown.Status != client.RequiresAction || shown.QRContent == "" || shown.QRExpiresAt == nil || created.PaymentToken == "" {
		t.Fatalf("shown: %+v", shown)
	}
	must(b.paypay.Pay(shown.LatestAttemptID))
	paid, err := c.Sync(ctx, created.ID)
	must(err)
	if paid.Status != client.Succeeded || paid.CapturedAmount != 1200 || paid.SucceededAt == nil || !paid.Final() {
		t.Fatalf("paid: %+v", paid)
	}
	refund, err := c.CreateRefund(ctx, "refund-1", created.ID, client.CreateRefund{Amount: 200, MerchantRefundRefID: fresh("rr"), Reason: "cold soup"})
	must(err)

	var types []string
	var last client.Event
	for cursor := start.NextCursor; last.Type != client.EventRefundSucceeded; {
		page, err := c.Events(ctx, client.Events{After: cursor, Wait: 10 * time.Second, Limit: 2})
		must(err)
		if len(page.Data) == 0 {
			t.Fatalf("the feed ends after %v", types)
		}
		for _, e := range page.Data {
			if e.PaymentIntentID != created.ID || e.Version != last.Version+1 || e.MerchantID != merchantID {
				t.Fatalf("after %+v came %+v", last, e)
			}
			types, last = append(types, e.Type), e
		}
		cursor = page.NextCursor
	}
	want := []string{client.EventIntentCreated, client.EventIntentRequiresAction, client.EventIntentSucceeded, client.EventRefundCreated, client.EventRefundProcessing, client.EventRefundSucceeded}
	if !slices.Equal(types, want) {
		t.Errorf("events %v, want %v", types, want)
	}
	told, err := last.Refund()
	must(err)
	asked, err := c.Refund(ctx, refund.ID)
	must(err)
	if told.ID != refund.ID || asked.Status != client.RefundSucceeded || asked.Amount != 200 || told.Amount != 200 {
		t.Errorf("told %+v, asked %+v", told, asked)
	}
	again, err := c.PaymentIntent(ctx, created.ID)
	must(err)
	if again.RefundedAmount != 200 || again.Version != last.Version {
		t.Errorf("in the end: %+v", again)
	}
	list, err := c.ListPaymentIntents(ctx, client.ListPaymentIntents{MerchantRefID: created.MerchantRefID, Updated: client.Range{From: created.CreatedAt}, Limit: 5})
	must(err)
	refunds, err := c.ListRefunds(ctx, client.ListRefunds{PaymentIntentID: created.ID})
	must(err)
	if len(list.Data) != 1 || list.NextCursor != "" || len(refunds.Data) != 1 {
		t.Errorf("lists: %+v, %+v", list, refunds)
	}
}

func TestClientRecordsCashAndCards(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, earlier := b.client(), b.clock.Now().Add(-time.Hour)
	for method, confirm := range map[string]client.Confirm{
		client.Cash: {PaymentMethodType: client.Cash, Tendered: 2000, OccurredAt: &earlier},
		client.Card: {PaymentMethodType: client.Card, OccurredAt: &earlier, Card: &client.CardResult{Result: "approved", ApprovalCode: "A1", ARN: "24", Brand: "visa", Last4: "4242", TerminalTxnID: "t-1"}},
	} {
		created, err := c.CreatePaymentIntent(t.Context(), fresh("k"), newSale(method))
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Confirm(t.Context(), fresh("k"), created.ID, confirm)
		if err != nil || got.Status != client.Succeeded || !got.OccurredAt.Equal(earlier) {
			t.Errorf("%s: %+v, %v", method, got, err)
		}
		if method == client.Cash && got.Cash.Change != 800 || method == client.Card && got.Card.Last4 != "4242" {
			t.Errorf("%s: %+v %+v", method, got.Cash, got.Card)
		}
		minted, err := c.MintPaymentToken(t.Context(), fresh("k"), created.ID)
		if err != nil || minted.PaymentToken == "" || minted.PaymentToken == created.PaymentToken {
			t.Errorf("mint: %+v, %v", minted, err)
		}
	}
	open, err := c.CreatePaymentIntent(t.Context(), fresh("k"), newSale(client.Cash))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Cancel(t.Context(), fresh("k"), open.ID, "changed their mind"); err != nil || got.Status != client.Cancelled || got.CancellationReason != "changed their mind" {
		t.Errorf("cancel: %+v, %v", got, err)
	}
	if _, err := c.Capture(t.Context(), fresh("k"), open.ID, 0); !client.HasStatus(err, http.StatusConflict) {
		t.Errorf("capture of what is cancelled: %v", err)
	}
}

func TestClientSyncsConfiguration(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, ctx := b.client(), t.Context()
	keys := client.Credentials{APIKey: paypaytest.APIKey, APISecret: paypaytest.APISecret}
	synced := client.Synced{Applied: true, Version: 7}
	m1, err1 := c.PutMerchant(ctx, "m_9", client.Merchant{Version: 7, Name: "M", Status: client.Active})
	s1, err2 := c.PutStore(ctx, "m_9", "s_9", client.Store{Version: 7, Name: "S", Status: client.Active, Timezone: "Asia/Tokyo"})
	p1, err3 := c.PutProviderConfig(ctx, "m_9", "s_9", "paypay", client.ProviderConfig{Version: 7, Status: client.Active, ContractID: "c"}, keys)
	d1, err4 := c.PutProviderConfig(ctx, "m_9", "", "paypay", client.ProviderConfig{Version: 7, Status: client.Active, ContractID: "c"}, keys)
	if err := errors.Join(err1, err2, err3, err4); err != nil || m1 != synced || s1 != synced || p1 != synced || d1 != synced {
		t.Fatalf("%+v %+v %+v %+v, %v", m1, s1, p1, d1, err)
	}
	if old, err := c.PutMerchant(ctx, "m_9", client.Merchant{Version: 6, Name: "Old", Status: client.Active}); err != nil || old.Applied || old.Version != 7 {
		t.Errorf("an older version: %+v, %v", old, err)
	}
	m, err1 := c.Merchant(ctx, "m_9")
	s, err2 := c.Store(ctx, "m_9", "s_9")
	p, err3 := c.ProviderConfig(ctx, "m_9", "s_9", "paypay")
	if err := errors.Join(err1, err2, err3); err != nil || m.Name != "M" || s.Timezone != "Asia/Tokyo" || p.ContractID != "c" {
		t.Errorf("%+v %+v %+v, %v", m, s, p, err)
	}
	if _, err := c.Store(ctx, "m_9", "s_8"); !client.HasCode(err, "not_found") {
		t.Errorf("a store that is not there: %v", err)
	}
}

// lossy loses every second answer after the gateway has done the work.
type lossy struct{ calls atomic.Int64 }

// RoundTrip sends, and loses.
func (l *lossy) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && l.calls.Add(1)%2 == 1 {
		_ = response.Body.Close()
		return nil, errors.New("connection reset")
	}
	return response, err
}

// Answers get lost and every call is made again under its key, signed anew: each thing is done once.
func TestClientOverALossyLine(t *testing.T) {
	t.Parallel()
	b := setup(t)
	line := &lossy{}
	c, ctx := b.client(client.WithTransport(line)), t.Context()
	for range 5 {
		created, err := c.CreatePaymentIntent(ctx, fresh("k"), newSale(client.Cash))
		if err != nil {
			t.Fatal(err)
		}
		paid, err := c.Confirm(ctx, fresh("k"), created.ID, client.Confirm{PaymentMethodType: client.Cash, Tendered: 1200})
		if err != nil || paid.Status != client.Succeeded {
			t.Fatalf("%+v, %v", paid, err)
		}
		if _, err := c.CreateRefund(ctx, fresh("k"), created.ID, client.CreateRefund{Amount: 300, MerchantRefundRefID: fresh("rr")}); err != nil {
			t.Fatal(err)
		}
	}
	if line.calls.Load() != 30 {
		t.Errorf("%d calls, want each of 15 twice", line.calls.Load())
	}
	for what, want := range map[string]int64{
		"SELECT count(*) FROM pgw.payment_intents WHERE status = 'succeeded'":                      5,
		"SELECT count(*) FROM pgw.refunds":                                                         5,
		"SELECT coalesce(sum(amount), 0) FROM pgw.ledger_lines WHERE account = 'memo_cash'":        5 * (1200 - 300),
		"SELECT coalesce(sum(amount), 0) FROM pgw.ledger_lines WHERE account = 'memo_cash_offset'": -5 * (1200 - 300),
	} {
		if got := b.number(what); got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
}

func TestClientRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, ctx := b.client(), t.Context()
	sale := newSale(client.Cash)
	created, err := c.CreatePaymentIntent(ctx, "key-1", sale)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.CreatePaymentIntent(ctx, "key-1", sale); err != nil || again.ID != created.ID || again.PaymentToken != created.PaymentToken {
		t.Errorf("the same key again: %+v, %v", again, err)
	}
	_, err = c.CreatePaymentIntent(ctx, "key-2", sale)
	var refused *client.Error
	var existing string
	if !client.HasCode(err, "merchant_ref_id_used") || !errors.As(err, &refused) || !refused.Extension("payment_intent_id", &existing) || existing != created.ID {
		t.Errorf("the same reference under another key: %v (%s)", err, existing)
	}
	other := sale
	other.Amount = 1300
	if _, err := c.CreatePaymentIntent(ctx, "key-1", other); !client.HasCode(err, "idempotency_key_reused") {
		t.Errorf("another payload: %v", err)
	}
	for name, tt := range map[string]struct {
		cfg  client.Config
		skew time.Duration
		code string
	}{
		"another secret": {client.Config{URL: b.url, APIKey: b.caller.APIKey, SecretKey: "sk_test_wrong"}, 0, "signature_mismatch"},
		"another key":    {client.Config{URL: b.url, APIKey: "pk_test_nobody", SecretKey: config.Secret(b.caller.SecretKey)}, 0, "api_key_unknown"},
		"a slow clock":   {client.Config{URL: b.url, APIKey: b.caller.APIKey, SecretKey: config.Secret(b.caller.SecretKey)}, -6 * time.Minute, "timestamp_out_of_range"},
	} {
		stranger, err := client.New(tt.cfg, func() time.Time { return b.clock.Now().Add(tt.skew) })
		if err != nil {
			t.Fatal(err)
		}
		_, err = stranger.CreatePaymentIntent(ctx, fresh("k"), newSale(client.Cash))
		if !client.HasCode(err, tt.code) || !client.HasStatus(err, http.StatusUnauthorized) || strings.Contains(err.Error(), b.caller.SecretKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for cursor, code := range map[string]string{"x": "bad_cursor", "aaaaaaaa.3": "cursor_expired"} {
		_, err := c.Events(ctx, client.Events{After: cursor})
		if !client.HasCode(err, code) {
			t.Errorf("cursor %s: %v", cursor, err)
		}
		var resync client.Resync
		if errors.As(err, &refused) && code == "cursor_expired" && (!refused.Extension("resync", &resync) || resync.Cursor == "") {
			t.Errorf("no way to resync: %v", err)
		}
	}
}

// The client signs as the published vectors say, with the key derived from the secret.
func TestClientSignsByTheVectors(t *testing.T) {
	t.Parallel()
	at := time.Unix(1702123456, 0)
	for signature, m := range map[string]hmacsig.Message{
		"85657de354ad2bb70dd9b852509bcc9ce63840eec0a14ae5645e16bff2b57222": {Method: "POST", Path: "/v1/payment_intents", Body: []byte(`{"amount": 1000}`)},
		"f2f9cfdaaea7e7d5d42cf6fcba9d865e63d3cb3460999c360963a6366ec69f1e": {Method: "GET", Path: "/v1/payment_intents"},
	} {
		if got := hmacsig.Sign(m, "pk", hmacsig.Key("sk_test_xyz789"), at); !strings.HasSuffix(got, ":"+signature) {
			t.Errorf("%s %s: %s", m.Method, m.Path, got)
		}
	}
}

// Every operation says who may call it and what it answers, and the document is complete enough to generate a client from.
func TestDocumentSaysAllOfEachOperation(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var document struct {
		Paths map[string]map[string]struct {
			OperationID, Summary string
			Tags                 []string
			Security             *[]map[string][]string
			Responses            map[string]struct{ Content map[string]any }
		}
		Components struct {
			SecuritySchemes map[string]any
		}
	}
	response, err := http.Get(b.url + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&document); err != nil {
		t.Fatal(err)
	}
	for path, item := range document.Paths {
		for method, op := range item {
			if op.OperationID == "" || op.Summary == "" || len(op.Tags) == 0 || op.Security == nil {
				t.Errorf("%s %s: operation %q, summary %q, tags %v, security %v", method, path, op.OperationID, op.Summary, op.Tags, op.Security)
				continue
			}
			for _, alternative := range *op.Security {
				for scheme := range alternative {
					if document.Components.SecuritySchemes[scheme] == nil {
						t.Errorf("%s %s names the scheme %q, which there is not", method, path, scheme)
					}
				}
			}
			for status, r := range op.Responses {
				if status[0] >= '4' && r.Content["application/problem+json"] == nil {
					t.Errorf("%s %s: %s is no problem document", method, path, status)
				}
			}
		}
	}
}
