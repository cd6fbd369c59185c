package e2e_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
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

// Transactions that no store's day passes for certain, each with what proves it instead.
const (
	oneStatement = "all it does is in it: committed or not, and asked again by whoever asked; held by the service's own tests"
	killedInRun  = "the matcher's own test kills a run at these and picks it up"
	rare         = "passed only when two workers meet or a worker is slow; its work is done again by whoever comes next, as the package's tests show"
)

var elsewhere = map[string]string{
	"pgw.event.epoch": oneStatement, "pgw.event.waiting": oneStatement, "pgw.partner.add_key": oneStatement, "pgw.partner.create": oneStatement,
	"pgw.partner.revoke_key": oneStatement, "pgw.intent.mint": oneStatement, "pgw.merchant.put": oneStatement,
	"pgw.intent.begin_capture": "capture later: no store of ours uses it; the intent package kills nothing but interleaves everything",
	"pgw.intent.claim":         rare, "pgw.intent.renew": rare, "pgw.refund.claim": rare, "pgw.refund.begun": rare, "pgw.refund.renew": rare,
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

	"recon.begin": killedInRun, "recon.copy": killedInRun, "recon.count": killedInRun, "recon.dry": killedInRun, "recon.fail": killedInRun,
	"recon.finish": killedInRun, "recon.judge": killedInRun, "recon.lock": killedInRun, "recon.match": killedInRun, "recon.peek": killedInRun,
	"recon.plan": killedInRun, "recon.post": killedInRun, "recon.progress": killedInRun, "recon.rest": killedInRun, "recon.result": killedInRun,
	"recon.share": killedInRun, "recon.snapshot": killedInRun, "recon.stage": killedInRun, "recon.unchanged": killedInRun,
	"recon.unlock": killedInRun, "recon.version": killedInRun,

	"smarttab.bill.cancel": oneStatement, "smarttab.bill.split": oneStatement, "smarttab.order.cancel": oneStatement, "smarttab.order.edit": oneStatement,
	"smarttab.payment.card": oneStatement, "smarttab.settlement.correct": oneStatement, "smarttab.settlement.move": oneStatement,
	"smarttab.payment.catch": rare, "smarttab.payment.fail": rare, "smarttab.payment.give-up": rare, "smarttab.refund.fail": rare,
	"smarttab.feed.park": rare, "smarttab.feed.release": rare, "smarttab.feed.still-parked": rare, "smarttab.feed.turn": rare, "smarttab.feed.unpark": rare,
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
	t.Logf("%d points, each killed a process; %d stores", len(points), len(stores))
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

// A transaction or a call that is in the code and neither on a sale's way nor accounted for elsewhere is a hole in the crash
// tests.
func TestEveryPointIsAccountedFor(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, name := range onTheWay.commits {
		known[name] = true
	}
	for name := range elsewhere {
		if known[name] {
			t.Errorf("%s is in both lists", name)
		}
		known[name] = true
	}
	used := pointsInCode(t)
	for name, where := range used {
		if !known[name] {
			t.Errorf("%s: %q is in no list of crash tests", where, name)
		}
	}
	for name := range known {
		if used[name] == "" {
			t.Errorf("%q is listed, and no code has it any more", name)
		}
	}
}

// pointsInCode are the names of transactions and outgoing calls in the services' source, with a place of each.
func pointsInCode(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, root := range []string{"../pgw", "../smartpos"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			return pointsInFile(path, found)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(found) < 30 {
		t.Fatalf("only %d points found: the search is broken", len(found))
	}
	return found
}

// readers are the helpers that open read-only transactions: they commit nothing.
var readers = []string{"InReadTx", "read", "inRead"}

// shape is that of a transaction's name.
var shape = regexp.MustCompile(`^(pgw|smarttab|portal|recon)(\.[a-z_-]+)+$`)

func pointsInFile(path string, found map[string]string) error {
	source, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), path, source, 0)
	if err != nil {
		return err
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		call, isCall := n.(*ast.CallExpr)
		if !isCall {
			return true
		}
		name := ""
		switch fun := call.Fun.(type) {
		case *ast.SelectorExpr:
			name = fun.Sel.Name
		case *ast.Ident:
			name = fun.Name
		}
		runs := slices.ContainsFunc(call.Args, func(a ast.Expr) bool { _, isFunc := a.(*ast.FuncLit); return isFunc })
		if (!runs && name != "InTx") || slices.Contains(readers, name) {
			return true
		}
		for _, arg := range call.Args {
			if literal, ok := arg.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if point, err := strconv.Unquote(literal.Value); err == nil && shape.MatchString(point) {
					found[point] = path
				}
			}
		}
		return true
	})
	return nil
}
