package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/mpac-cloud/mpac/internal/ops/api"
	"github.com/mpac-cloud/mpac/internal/ops/supervise"
	"github.com/mpac-cloud/mpac/internal/ops/up"
)

func (r *run) receipts() error {
	rates := map[int64][2]int64{} // taxable and tax, of both receipts together
	for _, p := range []*payment{&r.cash, &r.qr} {
		var paper receipt
		err := r.step("printer", "prints the receipt of "+yen(p.Amount), func() (outcome, error) {
			var found struct {
				Data []receipt `json:"data"`
			}
			if err := r.terminal.Get(r.ctx, "/api/v1/receipts", url.Values{"payment_id": {p.ID}}, &found); err != nil {
				return outcome{}, err
			}
			if len(found.Data) != 1 {
				return outcome{}, fmt.Errorf("there are %d receipts of one payment", len(found.Data))
			}
			paper = found.Data[0]
			return said("number %s", paper.Number).with("receipt_number", paper.Number, "total", paper.Total), paper.check(*p)
		})
		if err != nil {
			return err
		}
		r.tell.Paper(paper.printed())
		for _, rate := range paper.Rates {
			rates[rate.Rate] = [2]int64{rates[rate.Rate][0] + rate.Taxable, rates[rate.Rate][1] + rate.Tax}
		}
	}
	return r.step("anybody", "adds the two receipts up", func() (outcome, error) {
		var err error
		for _, l := range r.bill.TaxLines {
			err = errors.Join(err, check(fmt.Sprintf("the receipts' sum before tax at %d %%", l.Rate), rates[l.Rate][0], l.Taxable),
				check(fmt.Sprintf("the receipts' tax at %d %%", l.Rate), rates[l.Rate][1], l.Tax))
		}
		return said("they are the bill, rate by rate"), err
	})
}

// check holds a receipt against its payment and against what a qualified invoice must show.
func (p receipt) check(paid payment) error {
	err := errors.Join(check("the receipt's total", p.Total, paid.Amount), check("that it is a qualified invoice", p.Qualified, true),
		present("the issuer's name", p.Issuer.Name), present("the registration number", p.Issuer.RegistrationNumber), present("the date", p.Date))
	total, tax, marked := int64(0), int64(0), false
	for _, rate := range p.Rates {
		total, tax = total+rate.Total, tax+rate.Tax
		err = errors.Join(err, check(fmt.Sprintf("the total at %d %%", rate.Rate), rate.Total, rate.Taxable+rate.Tax))
	}
	for _, it := range p.Items {
		marked = marked || it.Mark != ""
	}
	return errors.Join(err, check("the rates' sum", total, p.Total), check("the rates' tax", tax, p.Tax), check("the mark on reduced-rate lines", marked, true))
}

func (r *run) closing() error {
	counted := map[string]int64{}
	err := r.step("staff", "looks at the day so far (X report)", func() (outcome, error) {
		err := r.terminal.Get(r.ctx, "/api/v1/settlements/current", nil, &r.day)
		if err == nil {
			err = errors.Join(check("the cash expected", r.day.ExpectedCash, r.cash.Amount), check("the day's net", r.day.Net, r.bill.Total),
				check("unfinished payments", len(r.day.Unfinished), 0))
		}
		counted = denominations(r.day.ExpectedCash)
		return said("%s taken, %s of it cash", yen(r.day.Net), yen(r.day.ExpectedCash)), err
	})
	if err != nil {
		return err
	}
	err = r.step("staff", "counts the drawer and closes (Z report)", func() (outcome, error) {
		err := r.terminal.Post(r.ctx, "/api/v1/settlements/close", r.key("close"), map[string]any{"counted": counted}, &r.day)
		if err == nil {
			err = r.checkDay()
		}
		return said("Z %d of %s: counted %s, difference %s", r.day.Number, r.day.BusinessDay, yen(r.day.CountedCash), yen(r.day.Difference)).
			with("settlement_id", r.day.ID, "counted_cash", r.day.CountedCash), err
	})
	return err
}

// checkDay holds the Z against the two payments and the bill's taxes.
func (r *run) checkDay() error {
	err := errors.Join(check("the day's number", r.day.Number, 1), check("the count", r.day.CountedCash, r.cash.Amount),
		check("the difference", r.day.Difference, 0), check("the day's net", r.day.Net, r.bill.Total))
	for _, m := range r.day.Methods {
		want := map[string]int64{"cash": r.cash.Amount, "qr": r.qr.Amount}[m.Method]
		err = errors.Join(err, check("what came by "+m.Method, m.Net, want))
	}
	byRate := map[int64]taxLine{}
	for _, l := range r.bill.TaxLines {
		byRate[l.Rate] = l
	}
	for _, t := range r.day.Taxes {
		err = errors.Join(err, check(fmt.Sprintf("the day's tax at %d %%", t.Rate), t.Tax, byRate[t.Rate].Tax))
	}
	if r.day.Status != "closed" {
		err = errors.Join(err, check("the day's status", r.day.Status, "closed"))
	}
	return err
}

// denominations counts a sum of yen in the notes and coins there are.
func denominations(amount int64) map[string]int64 {
	counted := map[string]int64{}
	for _, piece := range []int64{10000, 5000, 1000, 500, 100, 50, 10, 5, 1} {
		if n := amount / piece; n > 0 {
			counted[strconv.FormatInt(piece, 10)] = n
			amount -= n * piece
		}
	}
	return counted
}

var tokyo = time.FixedZone("Asia/Tokyo", 9*60*60)

func (r *run) reconciling() error {
	paid, err := time.Parse(time.RFC3339, r.intent.SucceededAt)
	if err != nil {
		return fmt.Errorf("succeeded_at: %w", err)
	}
	date := paid.In(tokyo).Format("2006-01-02")
	err = r.step("PayPay", "writes its settlement file, until now", func() (outcome, error) {
		var file struct {
			Name  string `json:"name"`
			Lines int    `json:"lines"`
		}
		err := r.wallet.Post(r.ctx, "/api/paypay/settlement_files", "", map[string]any{
			"merchant_id": r.p.PayPay.MerchantID, "date": date, "until": r.p.Now().Format(time.RFC3339Nano),
		}, &file)
		return said("%s, %d lines", file.Name, file.Lines), err
	})
	if err != nil {
		return err
	}
	if err := r.match(date); err != nil {
		return err
	}
	return r.step("store", "is told that its day is settled", func() (outcome, error) {
		err := api.Eventually(r.ctx, 30*time.Second, func() error {
			var today day
			if err := r.terminal.Get(r.ctx, "/api/v1/settlements/"+r.day.ID, nil, &today); err != nil {
				return err
			}
			return check("the day's status", today.Status, "reconciled")
		})
		return said("Z %d of %s is reconciled", r.day.Number, r.day.BusinessDay), err
	})
}

// match runs the matcher, as its clock would. One that runs already is waited for.
func (r *run) match(date string) error {
	return r.step("matcher", "holds it against the gateway's books", func() (outcome, error) {
		var report []byte
		var failed error
		deadline := time.Now().Add(time.Minute)
		for {
			report, failed = supervise.Run(r.ctx, supervise.Child{
				Name: "matcher run", Path: filepath.Join(r.bin, "matcher"), Args: []string{"run", "--date", date, "--provider", "paypay", "--json"},
				Env: append(os.Environ(), up.MatcherEnvironment(r.dir, r.p)...), Dir: string(r.dir), Stop: syscall.SIGTERM,
			})
			if supervise.ExitCode(failed) != 1 || time.Now().After(deadline) || r.ctx.Err() != nil {
				break
			}
			time.Sleep(500 * time.Millisecond) // another run of the same day: two exclude each other
		}
		if code := supervise.ExitCode(failed); code != 0 && code != 2 {
			return outcome{}, failed
		}
		return r.judge(report)
	})
}

// judge looks in the matcher's report for this store's payment. What is open elsewhere (exit code 2) is not this store's, but it
// is said.
func (r *run) judge(report []byte) (outcome, error) {
	var all struct {
		Runs []struct {
			PartnerID string `json:"partner_id"`
			Matched   struct {
				Count int `json:"count"`
			} `json:"matched"`
			Findings []struct {
				Section string `json:"section"`
				Kind    string `json:"kind"`
				Intent  string `json:"payment_intent_id"`
				Reason  string `json:"reason"`
			} `json:"findings"`
		} `json:"runs"`
		Open int `json:"open"`
	}
	if err := json.Unmarshal(report, &all); err != nil {
		return outcome{}, fmt.Errorf("the report can't be read: %w", err)
	}
	for _, done := range all.Runs {
		if done.PartnerID != r.p.Seed.Smartpos.ID {
			continue
		}
		for _, f := range done.Findings {
			if f.Intent == r.qr.IntentID && f.Section != "cleared" {
				return outcome{}, fmt.Errorf("this payment did not match: %s %s %s", f.Section, f.Kind, f.Reason)
			}
		}
		o := said("%d matched", done.Matched.Count).with("matched", done.Matched.Count, "open", all.Open)
		if all.Open > 0 {
			o.result += fmt.Sprintf("; %d exceptions are open, none of this store", all.Open)
		}
		return o, nil
	}
	return outcome{}, errors.New("the report has no run of the store's partner")
}
