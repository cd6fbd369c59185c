package main

import (
	"strings"
	"testing"
)

// Bad input is answered with a problem document that names the field, and changes nothing.
func TestBadInput(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.create(`"cash","qr_mpm","card","qr_cpm"`)
	before := b.number("SELECT count(*) + coalesce(sum(version), 0) FROM pgw.payment_intents") + b.number("SELECT count(*) FROM pgw.idempotency_keys") + b.number("SELECT count(*) FROM pgw.events")
	good := createBodyOf("good-ref")
	with := func(member, value string) string {
		return strings.Replace(good, "{", `{"`+member+`":`+value+`,`, 1)
	}
	amount := func(v string) string { return strings.Replace(good, "1200", v, 1) }
	const create = "/v1/payment_intents"
	confirm, refunds := path(in, "/confirm"), path(in, "/refunds")
	for name, c := range map[string]struct {
		path, body string
		status     int
		code       string
	}{
		"no JSON":                   {create, `{"amount":`, 400, "malformed_request"},
		"nothing":                   {create, ``, 400, ""},
		"an array":                  {create, `[]`, 422, ""},
		"two values":                {create, good + good, 400, "malformed_request"},
		"an unknown field":          {create, with("colour", `"red"`), 422, "validation_failed"},
		"a wrong type":              {create, amount(`"1200"`), 422, "validation_failed"},
		"a fraction":                {create, amount(`12.5`), 422, "validation_failed"},
		"zero":                      {create, amount(`0`), 422, "validation_failed"},
		"negative":                  {create, amount(`-1`), 422, "validation_failed"},
		"beyond the limit":          {create, amount(`1000000000000`), 422, "validation_failed"},
		"beyond 64 bits":            {create, amount(`99999999999999999999999`), 422, ""},
		"beyond floats":             {create, amount(`1e400`), 400, ""},
		"null":                      {create, amount(`null`), 422, "validation_failed"},
		"an unknown currency":       {create, strings.Replace(good, "JPY", "XXX", 1), 422, "validation_failed"},
		"a small currency":          {create, strings.Replace(good, "JPY", "jpy", 1), 422, "validation_failed"},
		"an unknown method":         {create, strings.Replace(good, `"cash"`, `"barter"`, 1), 422, "validation_failed"},
		"no method":                 {create, strings.Replace(good, `"cash"`, ``, 1), 422, "validation_failed"},
		"a method twice":            {create, strings.Replace(good, `"cash"`, `"cash","cash"`, 1), 422, "validation_failed"},
		"QR without a store":        {create, strings.Replace(good, `"cash"`, `"qr_mpm"`, 1), 422, "merchant_store_id_required"},
		"no reference":              {create, strings.Replace(good, "good-ref", "", 1), 422, "validation_failed"},
		"a long reference":          {create, strings.Replace(good, "good-ref", strings.Repeat("r", 129), 1), 422, "validation_failed"},
		"an unknown merchant":       {create, strings.Replace(good, merchantID, "mer_nobody", 1), 422, "validation_failed"},
		"an unknown store":          {create, with("merchant_store_id", `"store_nowhere"`), 422, "validation_failed"},
		"a life without end":        {create, with("expires_in_minutes", `43201`), 422, "validation_failed"},
		"bad UTF-8":                 {create, with("description", "\"\xff\xfe\""), 400, "malformed_request"},
		"NUL":                       {create, with("description", `"a\u0000b"`), 400, "malformed_request"},
		"a card in the text":        {create, with("description", `"card 4111 1111 1111 1111"`), 422, "card_number_refused"},
		"a card in the reference":   {create, strings.Replace(good, "good-ref", "5555555555554444", 1), 422, "card_number_refused"},
		"a card in metadata":        {create, with("metadata", `{"note":"4111111111111111"}`), 422, "card_number_refused"},
		"a card as metadata's name": {create, with("metadata", `{"4111111111111111":"x"}`), 422, "card_number_refused"},
		"metadata of numbers":       {create, with("metadata", `{"n":1}`), 422, "validation_failed"},
		"a long metadata value":     {create, with("metadata", `{"n":"`+strings.Repeat("x", 501)+`"}`), 422, "validation_failed"},
		"a huge body":               {create, with("description", `"`+strings.Repeat("x", 1<<20)+`"`), 413, "payload_too_large"},

		"confirm: no method":             {confirm, `{}`, 422, "validation_failed"},
		"confirm: not allowed":           {confirm, `{"payment_method_type":"e_money","card":{"result":"approved"}}`, 422, "payment_method_not_allowed"},
		"confirm: no provider":           {confirm, `{"payment_method_type":"qr_mpm"}`, 422, "validation_failed"},
		"confirm: unknown provider":      {confirm, `{"payment_method_type":"qr_mpm","provider":"fancypay"}`, 422, "provider_unknown"},
		"confirm: no code":               {confirm, `{"payment_method_type":"qr_cpm","provider":"paypay"}`, 422, "validation_failed"},
		"confirm: code of no wallet":     {confirm, `{"payment_method_type":"qr_cpm","customer_code":"99123"}`, 422, "provider_unknown"},
		"confirm: too little":            {confirm, `{"payment_method_type":"cash","tendered":1199}`, 422, "validation_failed"},
		"confirm: cash without tendered": {confirm, `{"payment_method_type":"cash"}`, 422, "validation_failed"},
		"confirm: negative":              {confirm, `{"payment_method_type":"cash","tendered":-5}`, 422, "validation_failed"},
		"confirm: tomorrow":              {confirm, `{"payment_method_type":"cash","tendered":1200,"occurred_at":"2999-01-01T00:00:00Z"}`, 422, "validation_failed"},
		"confirm: no time":               {confirm, `{"payment_method_type":"cash","tendered":1200,"occurred_at":"yesterday"}`, 422, "validation_failed"},
		"confirm: card without result":   {confirm, `{"payment_method_type":"card"}`, 422, "validation_failed"},
		"confirm: a full number":         {confirm, `{"payment_method_type":"card","card":{"result":"approved","approval_code":"A1","last4":"4111111111111111"}}`, 422, "validation_failed"},
		"confirm: a number elsewhere":    {confirm, `{"payment_method_type":"card","card":{"result":"approved","approval_code":"A1","terminal_txn_id":"4111111111111111"}}`, 422, "card_number_refused"},
		"confirm: no approval":           {confirm, `{"payment_method_type":"card","card":{"result":"approved"}}`, 422, "validation_failed"},
		"confirm: no intent":             {"/v1/payment_intents/pi_01JD3Q6Z8M4V0S9T2B7N5K1XWC/confirm", `{"payment_method_type":"cash","tendered":1200}`, 404, "payment_intent_not_found"},
		"confirm: no id":                 {"/v1/payment_intents/1/confirm", `{"payment_method_type":"cash","tendered":1200}`, 422, "validation_failed"},
		"capture: not held":              {path(in, "/capture"), `{}`, 409, "payment_intent_wrong_state"},
		"capture: zero":                  {path(in, "/capture"), `{"amount":0}`, 422, "validation_failed"},
		"cancel: a card":                 {path(in, "/cancel"), `{"reason":"4111111111111111"}`, 422, "card_number_refused"},
		"refund: not paid":               {refunds, `{"merchant_refund_ref_id":"r"}`, 409, "payment_intent_wrong_state"},
		"refund: no reference":           {refunds, `{}`, 422, "validation_failed"},
		"refund: negative":               {refunds, `{"merchant_refund_ref_id":"r","amount":-1}`, 422, "validation_failed"},
		"refund: zero":                   {refunds, `{"merchant_refund_ref_id":"r","amount":0}`, 422, "validation_failed"},
		"refund: a card":                 {refunds, `{"merchant_refund_ref_id":"4111111111111111"}`, 422, "card_number_refused"},
	} {
		r := b.do("POST", c.path, c.body, fresh("k"))
		if r.status != c.status || (c.code != "" && r.code(t) != c.code) || !strings.HasPrefix(r.header.Get("Content-Type"), "application/problem+json") {
			t.Errorf("%s: %.300s, want %d %s", name, r, c.status, c.code)
		}
		if id := r.json(t)["request_id"]; id == nil || id != r.header.Get("X-Request-Id") {
			t.Errorf("%s: request id %v", name, id)
		}
		if strings.Contains(string(r.body), "4111111111111111") {
			t.Errorf("%s: the answer repeats the number: %s", name, r)
		}
	}
	for query, code := range map[string]string{
		"?cursor=nonsense": "bad_cursor", "?cursor=MTpwaV9ub25zZW5zZQ": "bad_cursor", "?limit=0": "validation_failed", "?limit=101": "validation_failed",
		"?limit=x": "validation_failed", "?status=paid": "validation_failed", "?created_from=yesterday": "validation_failed", "?colour=red": "validation_failed",
		"?merchant_id=%ff": "malformed_request", "?merchant_id=%00": "malformed_request",
	} {
		for _, list := range []string{"/v1/payment_intents", "/v1/refunds"} {
			if list == "/v1/refunds" && strings.HasPrefix(query, "?created") {
				continue
			}
			if r := b.do("GET", list+query, "", ""); r.status < 400 || r.status > 422 || r.code(t) != code {
				t.Errorf("GET %s%s: %s, want %s", list, query, r, code)
			}
		}
	}
	wrongType := b.request("POST", create, good, fresh("k"))
	wrongType.Header.Set("Content-Type", "text/csv")
	wrongType.Header.Set("Authorization", b.caller.sign(wrongType, good, b.clock.Now()))
	if r := b.send(wrongType); r.status != 415 {
		t.Errorf("another media type: %s", r)
	}
	after := b.number("SELECT count(*) + coalesce(sum(version), 0) FROM pgw.payment_intents") + b.number("SELECT count(*) FROM pgw.idempotency_keys") + b.number("SELECT count(*) FROM pgw.events")
	if before != after {
		t.Error("bad input changed something")
	}
}

func TestListsGoByCursor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	want := map[string]bool{}
	for range 7 {
		want[b.create(`"cash"`)["id"].(string)] = true
		b.clock.Advance(1e9)
	}
	last, pages := "~", 0
	for cursor := ""; ; pages++ {
		got := b.do("GET", "/v1/payment_intents?limit=3"+cursor, "", "").json(t)
		for _, item := range got["data"].([]any) {
			id := item.(map[string]any)["id"].(string)
			if !want[id] || id >= last {
				t.Errorf("%s after %s", id, last)
			}
			delete(want, id)
			last = id
		}
		if got["next_cursor"] == nil {
			break
		}
		cursor = "&cursor=" + got["next_cursor"].(string)
	}
	if len(want) != 0 || pages != 2 {
		t.Errorf("%v are missing after %d pages", want, pages+1)
	}
	for query, n := range map[string]int{
		"?merchant_id=" + merchantID: 7, "?merchant_id=other": 0, "?status=requires_payment_method": 7, "?status=succeeded": 0, "?merchant_store_id=" + storeID: 7,
		"?created_from=" + b.clock.Now().Add(-3e9).Format("2006-01-02T15:04:05Z"): 3, "?created_to=" + b.clock.Now().Add(-3e9).Format("2006-01-02T15:04:05Z"): 4,
		"?updated_from=" + b.clock.Now().Add(-2e9).Format("2006-01-02T15:04:05Z"): 2, "?updated_to=" + b.clock.Now().Add(-2e9).Format("2006-01-02T15:04:05Z"): 5,
	} {
		got := b.do("GET", "/v1/payment_intents"+query, "", "").json(t)
		if data, ok := got["data"].([]any); !ok || len(data) != n {
			t.Errorf("%s: %d, want %d (%v)", query, len(data), n, got)
		}
	}
}
