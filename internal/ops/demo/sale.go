package demo

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/mpac-cloud/mpac/internal/ops/api"
	"github.com/mpac-cloud/mpac/internal/ops/up"
)

// opening: the merchant's owner opens a store, and a new terminal is activated in it.
func (r *run) opening() error {
	owner := r.p.Seed.Owner
	err := r.step("owner", "signs in", func() (outcome, error) {
		var err error
		r.owner, err = r.edge.SignIn(r.ctx, api.Person{Email: owner.Email, Password: owner.Password})
		return said("%s", owner.Email), err
	})
	if err != nil {
		return err
	}
	if err := r.openStore(); err != nil {
		return err
	}
	return r.activate()
}

func (r *run) openStore() error {
	err := r.step("owner", "opens a store", func() (outcome, error) {
		var made struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		}
		err := r.owner.Post(r.ctx, "/api/v1/stores", r.key("store"), map[string]any{
			"merchant_id": r.p.Seed.Merchant, "code": "demo-" + r.name, "name": "Hikari Demo " + r.name, "timezone": "Asia/Tokyo",
			"price_mode": "inclusive", "address": "3-3 Demo, Example City", "phone": "03-0000-0001",
		}, &made)
		r.store = made.ID
		return said("%s", made.Name).with("store_id", made.ID), err
	})
	if err != nil {
		return err
	}
	path := "/api/v1/stores/" + r.store + "/provider_configs/paypay"
	err = r.step("owner", "enters the contract with PayPay", func() (outcome, error) {
		pay := r.p.PayPay
		return said("contract %s", pay.MerchantID), r.owner.Put(r.ctx, path, map[string]any{
			"contract_id": pay.MerchantID, "credentials": map[string]string{"api_key": pay.APIKey, "api_secret": pay.APISecret},
		}, nil)
	})
	if err != nil {
		return err
	}
	return r.step("svc-portal", "tells the payment gateway", func() (outcome, error) {
		return said("store and contract are known there"), api.Eventually(r.ctx, 30*time.Second, func() error {
			var config struct {
				Sync struct {
					State     string `json:"state"`
					LastError string `json:"last_error"`
				} `json:"sync"`
			}
			if err := r.owner.Get(r.ctx, path, nil, &config); err != nil {
				return err
			}
			return check("the sync's state ("+config.Sync.LastError+")", config.Sync.State, "synced")
		})
	})
}

func (r *run) activate() error {
	key, err := api.NewTerminalKey()
	if err != nil {
		return err
	}
	var activated up.Activated
	err = r.step("terminal", "is activated with a key of its own", func() (outcome, error) {
		var err error
		activated, err = up.Activate(r.ctx, r.owner, r.store, "DEMO-"+r.name, "Demo till", key)
		return said("client %s", activated.ClientID).with("client_id", activated.ClientID), err
	})
	if err != nil {
		return err
	}
	return r.step("terminal", "signs in by its key", func() (outcome, error) {
		var err error
		r.terminal, err = r.edge.SignInTerminal(r.ctx, api.Terminal{ClientID: activated.ClientID, Key: key})
		return said("a token for two minutes"), err
	})
}

// What is ordered, to be taken away, prices with tax: food bears 8 %, the rest 10 %.
var ordered = []item{
	{Name: "Salmon bento", Quantity: 2, UnitPrice: 843, TaxClass: "food"},
	{Name: "Green tea", Quantity: 1, UnitPrice: 161, TaxClass: "food"},
	{Name: "Craft beer", Quantity: 1, UnitPrice: 520, TaxClass: "standard"},
	{Name: "Tote bag", Quantity: 1, UnitPrice: 1100, TaxClass: "standard"},
}

// reckoned is what the order must come to: each rate's tax is within the price and rounded down once.
func reckoned(items []item) (total int64, taxes map[int64]int64) {
	gross, taxes := map[int64]int64{}, map[int64]int64{}
	for _, it := range items {
		rate := int64(10)
		if it.TaxClass == "food" {
			rate = 8
		}
		gross[rate] += it.Quantity * it.UnitPrice
	}
	for rate, sum := range gross {
		total += sum
		taxes[rate] = sum * rate / (100 + rate)
	}
	return total, taxes
}

// taxesAre holds tax lines against what they must be.
func taxesAre(lines []taxLine, want map[int64]int64) error {
	if len(lines) != len(want) {
		return fmt.Errorf("there are %d tax lines, and should be %d", len(lines), len(want))
	}
	for _, l := range lines {
		if err := check(fmt.Sprintf("the tax at %d %%", l.Rate), l.Tax, want[l.Rate]); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) ordering() error {
	total, taxes := reckoned(ordered)
	err := r.step("staff", "takes an order to take away", func() (outcome, error) {
		err := r.terminal.Post(r.ctx, "/api/v1/orders", r.key("order"), map[string]any{"order_type": "takeaway", "items": ordered}, &r.order)
		if err == nil {
			err = errors.Join(check("the order's status", r.order.Status, "open"), check("the total", r.order.Total, total), taxesAre(r.order.TaxLines, taxes))
		}
		return said("order %s: %s, of which tax %s", r.order.Number, yen(r.order.Total), yen(r.order.Tax)).
			with("order_id", r.order.ID, "total", r.order.Total, "tax", r.order.Tax), err
	})
	if err != nil {
		return err
	}
	err = r.step("staff", "makes the bill", func() (outcome, error) {
		err := r.terminal.Post(r.ctx, "/api/v1/bills", r.key("bill"), map[string]any{"order_ids": []string{r.order.ID}}, &r.bill)
		if err == nil {
			err = errors.Join(check("the bill's total", r.bill.Total, total), taxesAre(r.bill.TaxLines, taxes))
		}
		return said("bill %s: %s", r.bill.Number, yen(r.bill.Total)).with("bill_id", r.bill.ID, "total", r.bill.Total), err
	})
	if err != nil {
		return err
	}
	return r.step("staff", "splits it evenly in two", func() (outcome, error) {
		err := r.terminal.Post(r.ctx, "/api/v1/bills/"+r.bill.ID+"/split", r.key("split"),
			map[string]any{"version": r.bill.Version, "mode": "even", "parts": 2}, &r.bill)
		if err == nil {
			err = r.checkSplits(total, taxes)
		}
		if err != nil {
			return outcome{}, err
		}
		return said("%s and %s", yen(r.bill.Splits[0].Total), yen(r.bill.Splits[1].Total)), nil
	})
}

// checkSplits: the parts come to the bill, to the yen and rate by rate, and are even.
func (r *run) checkSplits(total int64, taxes map[int64]int64) error {
	if len(r.bill.Splits) != 2 {
		return fmt.Errorf("there are %d parts", len(r.bill.Splits))
	}
	sum, perRate := int64(0), map[int64]int64{}
	for _, s := range r.bill.Splits {
		sum += s.Total
		for _, l := range s.TaxLines {
			perRate[l.Rate] += l.Tax
		}
	}
	apart := r.bill.Splits[0].Total - r.bill.Splits[1].Total
	err := check("the parts' sum", sum, total)
	for rate, tax := range taxes {
		err = errors.Join(err, check(fmt.Sprintf("the parts' tax at %d %%", rate), perRate[rate], tax))
	}
	if apart < -1 || apart > 1 {
		err = errors.Join(err, fmt.Errorf("the parts are %s apart", yen(apart)))
	}
	return err
}

func (r *run) payingCash() error {
	part := r.bill.Splits[0]
	const tendered = 2000
	err := r.step("customer A", "hands over "+yen(tendered), func() (outcome, error) {
		err := r.terminal.Post(r.ctx, "/api/v1/payments", r.key("cash"),
			map[string]any{"bill_id": r.bill.ID, "split_id": part.ID, "method": "cash", "tendered": tendered}, &r.cash)
		if err == nil {
			err = errors.Join(check("the payment's status", r.cash.Status, "completed"), check("the amount", r.cash.Amount, part.Total),
				check("the change", r.cash.Change, tendered-part.Total))
		}
		return said("%s paid, change %s", yen(r.cash.Amount), yen(r.cash.Change)).with("payment_id", r.cash.ID, "amount", r.cash.Amount), err
	})
	if err != nil {
		return err
	}
	return r.billIs("partial", part.Total)
}

// billIs reads the bill anew.
func (r *run) billIs(status string, paid int64) error {
	return r.step("staff", "looks at the bill", func() (outcome, error) {
		err := r.terminal.Get(r.ctx, "/api/v1/bills/"+r.bill.ID, nil, &r.bill)
		if err == nil {
			err = errors.Join(check("the bill's status", r.bill.Status, status), check("what is paid", r.bill.PaidAmount, paid),
				check("what remains", r.bill.RemainingAmount, r.bill.Total-paid))
		}
		return said("%s: %s paid, %s to go", r.bill.Status, yen(r.bill.PaidAmount), yen(r.bill.RemainingAmount)), err
	})
}

func (r *run) payingQR() error {
	part := r.bill.Splits[1]
	err := r.step("staff", "asks for a QR payment", func() (outcome, error) {
		err := r.terminal.Post(r.ctx, "/api/v1/payments", r.key("qr"),
			map[string]any{"bill_id": r.bill.ID, "split_id": part.ID, "method": "qr", "provider": "paypay"}, &r.qr)
		if err == nil {
			err = errors.Join(check("the amount", r.qr.Amount, part.Total), present("payment_intent_id", r.qr.IntentID), present("payment_token", r.qr.Token))
		}
		return said("%s as %s", yen(r.qr.Amount), r.qr.IntentID).with("payment_id", r.qr.ID, "payment_intent_id", r.qr.IntentID, "amount", r.qr.Amount), err
	})
	if err != nil {
		return err
	}
	if err := r.scan(part.Total); err != nil {
		return err
	}
	err = r.step("svc-smarttab", "hears of it by the gateway's feed", func() (outcome, error) {
		err := api.Eventually(r.ctx, 30*time.Second, func() error {
			if err := r.terminal.Get(r.ctx, "/api/v1/payments/"+r.qr.ID, nil, &r.qr); err != nil {
				return err
			}
			return check("the payment's status", r.qr.Status, "completed")
		})
		return said("payment completed"), err
	})
	if err != nil {
		return err
	}
	return r.billIs("paid", r.bill.Total)
}

func present(what, value string) error {
	if value == "" {
		return errors.New(what + " is missing")
	}
	return nil
}

// scan: the terminal shows the gateway's QR code, the customer's wallet pays it.
func (r *run) scan(amount int64) error {
	token := api.Client{Base: r.gateway, Token: r.qr.Token}
	path := "/v1/payment_intents/" + r.qr.IntentID
	err := r.step("terminal", "gets the QR code from the gateway", func() (outcome, error) {
		err := token.Post(r.ctx, path+"/confirm", r.key("confirm"), map[string]any{"payment_method_type": "qr_mpm", "provider": "paypay"}, &r.intent)
		if err == nil {
			err = errors.Join(check("the intent's status", r.intent.Status, "requires_action"), check("the amount", r.intent.Amount, amount), present("qr_content", r.intent.QRContent))
		}
		return said("%s", r.intent.QRContent).with("qr_content", r.intent.QRContent, "attempt_id", r.intent.LatestAttempt), err
	})
	if err != nil {
		return err
	}
	err = r.step("customer B", "scans it and pays with PayPay", func() (outcome, error) {
		return said("%s from the wallet", yen(amount)), r.wallet.Post(r.ctx, "/api/paypay/payments/"+url.PathEscape(r.intent.LatestAttempt)+"/pay", "", nil, nil)
	})
	if err != nil {
		return err
	}
	return r.step("pgw-backend", "learns it from PayPay", func() (outcome, error) {
		err := api.Eventually(r.ctx, 30*time.Second, func() error {
			if err := token.Get(r.ctx, path, nil, &r.intent); err != nil {
				return err
			}
			return check("the intent's status", r.intent.Status, "succeeded")
		})
		return said("intent succeeded"), err
	})
}
