package e2e_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/e2e/books"
	"github.com/mpac-cloud/mpac/e2e/platform"
	"github.com/mpac-cloud/mpac/e2e/till"
)

// onTheWay are the points that a store's day passes when the provider now and then loses an answer: the process that comes
// by each is killed there, once before and once after.
var onTheWay = struct{ commits, calls []string }{
	commits: []string{
		"pgw.event.number", "pgw.idempotency.resolve", "pgw.intent.announce", "pgw.intent.begin_attempt", "pgw.intent.begin_cancel",
		"pgw.intent.create", "pgw.intent.finish_second", "pgw.intent.record", "pgw.intent.settle", "pgw.merchant.put-provider",
		"pgw.merchant.put-store", "pgw.refund.begin", "pgw.refund.settle", "pgw.webhook.keep",
		"portal.device.token", "portal.sync.done",
		"smarttab.bill.create", "smarttab.feed.apply", "smarttab.feed.lease", "smarttab.order.create", "smarttab.payment.apply",
		"smarttab.payment.cancel", "smarttab.payment.reported", "smarttab.payment.start", "smarttab.payment.take", "smarttab.refund.apply",
		"smarttab.refund.create", "smarttab.refund.send", "smarttab.settlement.close",
	},
	calls: []string{
		"provider.paypay.cancel", "provider.paypay.create_code", "provider.paypay.delete_code", "provider.paypay.query",
		"provider.paypay.query_refund", "provider.paypay.refund",
		"pgwclient.cancel", "pgwclient.confirm", "pgwclient.create_payment_intent", "pgwclient.create_refund", "pgwclient.events",
		"pgwclient.put_store", "pgwclient.put_provider_config",
		"access.jwks",
	},
}

// Transactions and calls that no store's day passes for certain, each with what proves it instead.
const (
	oneStatement    = "all it does is in it: committed or not, and asked again by whoever asked; held by the service's own tests"
	question        = "it changes nothing, and whoever asked asks again"
	killedInRun     = "the matcher's own test kills a run wherever it passes a point, this one among them, and has the next pick it up"
	killedInGateway = "pgw-backend/crash_test.go kills the process there"
	forPartners     = "no process of ours makes it: the client has it for partners; what it asks of the gateway is killed in pgw-backend/crash_test.go"
	rare            = "passed only when two workers meet or a worker is slow; its work is done again by whoever comes next, as the package's tests show"
	keepsDays       = "the keeper of partitions does one table's day in each; what was not committed is work again at its next turn"
)

var elsewhere = map[string]string{
	"recon.figures":             "counts, and keeps the days that it saw without a run: they are seen again",
	"pgw.ledger.watch":          "looks, and notes what it found and where it goes on: what is lost is looked at again",
	"pgw.ledger.propose-repair": oneStatement,
	"pgw.ledger.decide-repair":  "a line, the decision and its audit are one transaction, and a second try changes nothing; held by the package's own tests",
	"pgw.event.epoch":           oneStatement, "pgw.event.waiting": oneStatement, "pgw.partner.add_key": oneStatement, "pgw.partner.create": oneStatement,
	"pgw.partner.revoke_key": oneStatement, "pgw.intent.mint": oneStatement, "pgw.merchant.put": oneStatement,
	"pgw.intent.begin_capture": killedInGateway, "pgw.intent.claim": killedInGateway, "provider.paypay.capture": killedInGateway,
	"provider.paypay.charge": killedInGateway, "pgw.resolution.propose": killedInGateway, "pgw.resolution.approve": killedInGateway,
	"pgw.resolution.reject": killedInGateway,
	"pgw.intent.renew":      rare, "pgw.refund.claim": rare, "pgw.refund.begun": rare, "pgw.refund.renew": rare,
	"pgw.intent.expire": "the sweep's own; comes again with the next sweep",

	"portal.activation.activate": oneStatement, "portal.activation.generate": oneStatement, "portal.audit.partitions": oneStatement,
	"portal.housekeeping": oneStatement, "portal.keys.rotate": oneStatement, "portal.login.challenge": oneStatement,
	"portal.login.challenged": oneStatement, "portal.login.count": oneStatement, "portal.login.count_code": oneStatement,
	"portal.login.enrol": oneStatement, "portal.login.enter": oneStatement, "portal.logout": oneStatement, "portal.merchant.change": oneStatement,
	"portal.merchant.create": oneStatement, "portal.provider_config.put": oneStatement, "portal.psp.change": oneStatement,
	"portal.psp.create": oneStatement, "portal.refresh": oneStatement, "portal.seed": oneStatement, "portal.session.end": oneStatement,
	"portal.session.end_all": oneStatement, "portal.store.change": oneStatement, "portal.store.create": oneStatement,
	"portal.sync.retry": oneStatement, "portal.terminal.change": oneStatement, "portal.terminal.create": oneStatement,
	"portal.user.change": oneStatement, "portal.user.create": oneStatement, "portal.user.password": oneStatement, "portal.user.reset_mfa": oneStatement,
	"portal.sync.failed": rare, "portal.sync.lease": rare, "portal.sync.next": rare, "portal.sync.read": rare, "portal.sync.release": rare,

	"recon.begin": killedInRun, "recon.copy": killedInRun, "recon.count": killedInRun, "recon.fetch": killedInRun, "recon.finish": killedInRun,
	"recon.judge": killedInRun, "recon.lock": killedInRun, "recon.match": killedInRun, "recon.plan": killedInRun, "recon.post": killedInRun,
	"recon.progress": killedInRun, "recon.rest": killedInRun, "recon.snapshot": killedInRun, "recon.stage": killedInRun,
	"recon.unlock": killedInRun, "recon.version": killedInRun,
	"recon.peek": question, "recon.report": question, "recon.result": question,
	"recon.dry": "a dry run's, in tables that die with its connection", "recon.share": "a shared contract's, in tables that die with the run's connection",
	"recon.fail":      "says of a run that it failed; one that dies before is a run that was killed, which the next goes on with",
	"recon.unchanged": "closes a run that found nothing to write; the next finds the same",
	"recon.list":      question, "recon.get": "a copy from S3, moved to its place when it is whole; one that is cut short is fetched again",

	"smarttab.bill.cancel": oneStatement, "smarttab.bill.split": oneStatement, "smarttab.order.cancel": oneStatement, "smarttab.order.edit": oneStatement,
	"smarttab.payment.card": oneStatement, "smarttab.settlement.correct": oneStatement, "smarttab.settlement.move": oneStatement,
	"smarttab.payment.catch": rare, "smarttab.payment.fail": rare, "smarttab.payment.give-up": rare, "smarttab.refund.fail": rare,
	"smarttab.feed.park": rare, "smarttab.feed.release": rare, "smarttab.feed.still-parked": rare, "smarttab.feed.turn": rare, "smarttab.feed.unpark": rare,

	"pgw.partition.*": keepsDays, "smarttab.partition.*": keepsDays,
	"jobs.change": oneStatement, "smarttab.feed.propose-drop": oneStatement, "smarttab.feed.decide-drop": oneStatement,
	"kms.wrap": "a data key that was wrapped and not kept has sealed nothing; another is made", "kms.unwrap": question,
	"pgwclient.get_payment_intent": question, "pgwclient.get_refund": question, "pgwclient.list_payment_intents": question,
	"pgwclient.list_refunds": question, "pgwclient.get_merchant": question, "pgwclient.get_store": question, "pgwclient.get_provider_config": question,
	"pgwclient.capture":             forPartners,
	"pgwclient.sync":                "no process of ours makes it; it has the gateway ask a provider, which changes nothing there",
	"pgwclient.put_merchant":        "sent by the worker that sends stores, which is killed at that; a day in a store makes no merchant",
	"pgwclient.mint_payment_token":  "passed when a terminal asks again after a crash; a token that reached nobody opens no more than another",
	"smarttab.settlement.reconcile": "follows the matcher's events; the feed applies them again after a crash, as any other",
}

// testEveryPoint arms every failpoint of a store's day at once, and lives such days until each has killed the process that
// came by.
func testEveryPoint(t *testing.T, p *platform.Platform) {
	var points []string
	for _, name := range onTheWay.commits {
		points = append(points, name+".before-commit", name+".after-commit")
	}
	for _, name := range onTheWay.calls {
		points = append(points, name+".before", name+".after")
	}
	for _, point := range points {
		p.Failpoint(point, "exit")
	}
	left := func() []string {
		return slices.DeleteFunc(slices.Clone(points), p.FailpointTaken)
	}
	var stores []string
	for deadline := time.Now().Add(5 * time.Minute); len(left()) > 0; {
		if time.Now().After(deadline) {
			t.Errorf("nobody came by %v", left())
			break
		}
		tills, opened := openTills(t, p, 3)
		stores = append(stores, opened...)
		for _, s := range tills {
			s.Wait(3 * time.Minute)
		}
		for _, call := range []string{"create_code", "refund"} {
			fault(t, p, map[string]any{"operation": call, "kind": "drop_connection_after", "times": 1, "store_id": tills[0].Store})
		}
		var all sync.WaitGroup
		for _, s := range tills {
			all.Go(func() { everything(t, s) })
		}
		all.Wait()
	}
	t.Logf("%d of %d points killed a process each; %d stores", len(points)-len(left()), len(points), len(stores))
	books.Settled(t, p, 2*settleWithin, stores...)
}

// everything does once what a store does with money.
func everything(t *testing.T, s *till.Till) {
	cash, err := s.SellCash(1000)
	if err != nil {
		t.Errorf("cash: %v", err)
		return
	}
	if err := s.Refund(cash.ID, 100, "refund-"+cash.ID); err != nil {
		t.Errorf("refund of cash: %v", err)
	}
	qr, err := s.SellQR(2000)
	if err == nil {
		_, err = s.Await(qr.ID, "completed")
	}
	if err != nil {
		t.Errorf("QR: %v", err)
		return
	}
	if err := s.Refund(qr.ID, 2000, "refund-"+qr.ID); err != nil {
		t.Errorf("refund of QR: %v", err)
	} else if _, err := s.Await(qr.ID, "refunded"); err != nil {
		t.Errorf("refund of QR: %v", err)
	}
	b, err := s.NewBill(300)
	if err != nil {
		t.Errorf("bill: %v", err)
		return
	}
	given, err := s.StartQR(b)
	if err == nil {
		_, err = s.ShowQR(given)
	}
	if err == nil {
		err = s.Cancel(given.ID)
	}
	if err == nil {
		_, err = s.Await(given.ID, "cancelled", "failed") // failed: its code was never made
	}
	if err != nil {
		t.Errorf("giving up: %v", err)
	}
	if _, _, err := s.CloseDay(); err != nil {
		t.Errorf("close of day: %v", err)
	}
}
