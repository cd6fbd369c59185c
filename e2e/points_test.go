package e2e_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
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

// onTheWay are the points that a sale passes: the process that comes by each is killed there, once before and once after.
// Every name is the transaction's or the call's; "before" and "after" are put to it below.
var onTheWay = struct{ commits, calls []string }{}

// elsewhere are transactions that no sale passes, each with what proves it instead.
var elsewhere = map[string]string{}

// testEveryPoint arms every failpoint of a sale's way at once and sells until each has killed the process that came by.
func testEveryPoint(t *testing.T, p *platform.Platform) {
	var points []string
	for _, name := range onTheWay.commits {
		points = append(points, name+".before-commit", name+".after-commit")
	}
	for _, name := range onTheWay.calls {
		points = append(points, name+".before", name+".after")
	}
	tills, stores := openTills(t, p, 3)
	for _, point := range points {
		p.Failpoint(point, "exit")
	}
	left := func() []string {
		return slices.DeleteFunc(slices.Clone(points), p.FailpointTaken)
	}
	for deadline := time.Now().Add(120 * time.Second); len(left()) > 0; {
		if time.Now().After(deadline) {
			t.Errorf("nobody came by %v", left())
			break
		}
		var all sync.WaitGroup
		for _, s := range tills {
			all.Go(func() { everything(t, s) })
		}
		all.Wait()
	}
	t.Logf("%d points, each killed a process", len(points))
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
		_, err = s.Await(given.ID, "cancelled")
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
	for _, name := range slices.Concat(onTheWay.commits, onTheWay.calls) {
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

func pointsInFile(path string, found map[string]string) error {
	source, err := os.ReadFile(path) //nolint:gosec // our own source
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
		if name != "InTx" {
			return true
		}
		for _, arg := range call.Args {
			if literal, ok := arg.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if point, err := strconv.Unquote(literal.Value); err == nil {
					found[point] = path
				}
			}
		}
		return true
	})
	return nil
}
