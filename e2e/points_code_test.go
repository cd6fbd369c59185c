package e2e_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A transaction or a call out of the process that is in the code and neither on a sale's way nor accounted for elsewhere is a
// hole in the crash tests.
func TestEveryPointIsAccountedFor(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, name := range slices.Concat(onTheWay.commits, onTheWay.calls) {
		known[name] = true
	}
	for name, why := range elsewhere {
		if known[name] {
			t.Errorf("%s is in both lists", name)
		}
		known[name] = true
		if why == killedInGateway {
			theGatewaysTestKillsAt(t, name)
		}
	}
	code := readCode(t)
	used := map[string]string{}
	code.transactions(t, used)
	code.calls(t, used)
	if len(used) < 100 {
		t.Fatalf("only %d points found: the search is broken", len(used))
	}
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

func theGatewaysTestKillsAt(t *testing.T, name string) {
	t.Helper()
	text, err := os.ReadFile("../pgw/pgw-backend/crash_test.go")
	must(t, err)
	if !strings.Contains(string(text), `"`+name+".") {
		t.Errorf("%s: the gateway's crash test does not kill there", name)
	}
}

// source is one file of production code.
type source struct {
	path, folder string
	tree         *ast.File
}

type sources []source

// readCode reads what the services' binaries are made of.
func readCode(t *testing.T) sources {
	t.Helper()
	var all sources
	for _, root := range []string{"../pgw", "../smartpos", "../platform"} {
		must(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			tree, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			all = append(all, source{path, filepath.Dir(path), tree})
			return err
		}))
	}
	return all
}

// inEach calls visit with each call and the function around it; nil: none.
func (s sources) inEach(visit func(f source, around *ast.FuncDecl, call *ast.CallExpr)) {
	for _, f := range s {
		for _, decl := range f.tree.Decls {
			around, _ := decl.(*ast.FuncDecl)
			ast.Inspect(decl, func(n ast.Node) bool {
				if call, isCall := n.(*ast.CallExpr); isCall {
					visit(f, around, call)
				}
				return true
			})
		}
	}
}

// called is the name of what is called: InTx of postgres.InTx(...), tx of s.tx(...).
func called(call *ast.CallExpr) string {
	switch fun := call.Fun.(type) {
	case *ast.SelectorExpr:
		return fun.Sel.Name
	case *ast.Ident:
		return fun.Name
	}
	return ""
}

// text is a literal's; "pgw.partition.*" of a literal with something added.
func text(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil
	case *ast.BinaryExpr:
		s, ok := text(e.X)
		return s + "*", ok
	}
	return "", false
}

// placeOf is the place of a function's parameter; -1: it has none of that name.
func placeOf(f *ast.FuncDecl, name string) int {
	if f == nil {
		return -1
	}
	place := 0
	for _, field := range f.Type.Params.List {
		for _, n := range field.Names {
			if n.Name == name {
				return place
			}
			place++
		}
	}
	return -1
}

// opener is a function or method that opens a transaction by a name that it is given.
type opener struct {
	pkg    string // its folder, or its package's name: so others call it
	name   string
	method bool
}

// transactions finds the names by which transactions are opened, through postgres.InTx or what passes a name on to it.
func (s sources) transactions(t *testing.T, found map[string]string) {
	t.Helper()
	const nameOfInTx = 3
	openers := map[opener]int{}
	// nameIn is the expression that names the transaction which the call opens; nil: it opens none.
	nameIn := func(f source, call *ast.CallExpr) ast.Expr {
		fun, selected := call.Fun.(*ast.SelectorExpr)
		place, opens := openers[opener{f.folder, called(call), selected}]
		if selected && !opens {
			place, opens = openers[opener{fmt.Sprint(fun.X), called(call), false}]
		}
		if called(call) == "InTx" {
			place, opens = nameOfInTx, true
		}
		if !opens || place >= len(call.Args) {
			return nil
		}
		return call.Args[place]
	}
	for before := -1; before < len(openers); {
		before = len(openers)
		s.inEach(func(f source, around *ast.FuncDecl, call *ast.CallExpr) {
			name, isName := nameIn(f, call).(*ast.Ident)
			if !isName {
				return
			}
			if place := placeOf(around, name.Name); place >= 0 {
				method := around.Recv != nil
				openers[opener{f.folder, around.Name.Name, method}] = place
				if !method {
					openers[opener{f.tree.Name.Name, around.Name.Name, method}] = place
				} else if around.Name.IsExported() {
					t.Errorf("%s: %s passes a transaction's name on for other packages: nobody can tell which", f.path, around.Name)
				}
			}
		})
	}
	s.inEach(func(f source, around *ast.FuncDecl, call *ast.CallExpr) {
		switch name := nameIn(f, call).(type) {
		case nil:
		case *ast.Ident:
			if placeOf(around, name.Name) < 0 {
				t.Errorf("%s: nobody can tell the name of the transaction that %s opens", f.path, called(call))
			}
		default:
			point, ok := text(name)
			if !ok {
				t.Errorf("%s: nobody can tell the name of the transaction that %s opens", f.path, called(call))
			}
			found[point] = f.path
		}
	})
}

// calls finds the names of calls out of the process: where failpoint.Hit names them itself, and where a wrapper puts them
// together, from what it is put together of.
func (s sources) calls(t *testing.T, found map[string]string) {
	t.Helper()
	wrappers := map[string]func() []string{
		"../platform/postgres/postgres.go":   func() []string { return nil }, // transactions
		"../pgw/client/call.go":              s.operationsOfTheClient,
		"../pgw/internal/provider/call.go":   s.operationsOfProviders,
		"../platform/failpoint/failpoint.go": func() []string { return nil },
	}
	moments := map[string][]string{}
	s.inEach(func(f source, _ *ast.FuncDecl, call *ast.CallExpr) {
		if fun, ok := call.Fun.(*ast.SelectorExpr); !ok || fun.Sel.Name != "Hit" || fmt.Sprint(fun.X) != "failpoint" {
			return
		}
		if point, ok := call.Args[0].(*ast.BasicLit); ok {
			whole, _ := text(point)
			name, moment := whole[:strings.LastIndexByte(whole, '.')], whole[strings.LastIndexByte(whole, '.')+1:]
			found[name] = f.path
			moments[name] = append(moments[name], moment)
			return
		}
		names, known := wrappers[f.path]
		if !known {
			t.Errorf("%s: nobody can tell which calls pass this failpoint", f.path)
			return
		}
		for _, name := range names() {
			found[name] = f.path
		}
	})
	for name, all := range moments {
		if slices.Sort(all); !slices.Equal(all, []string{"after", "before"}) {
			t.Errorf("%s: %s has %v, not one point before and one after it", found[name], name, all)
		}
	}
}

// operationsOfTheClient are the pgw client's: each is a call{op: "..."}.
func (s sources) operationsOfTheClient() (names []string) {
	for _, f := range s {
		if f.folder != "../pgw/client" {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			if pair, ok := n.(*ast.KeyValueExpr); ok && fmt.Sprint(pair.Key) == "op" {
				op, _ := text(pair.Value)
				names = append(names, "pgwclient."+op)
			}
			return true
		})
	}
	return names
}

// operationsOfProviders are each Operation of each provider: a package below provider with a constant Name.
func (s sources) operationsOfProviders() (names []string) {
	const folder = "../pgw/internal/provider"
	var operations, providers []string
	for _, f := range s {
		if !strings.HasPrefix(f.folder, folder) {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			constant, ok := n.(*ast.ValueSpec)
			switch {
			case !ok || len(constant.Values) != 1:
			case f.folder == folder && constant.Type != nil && fmt.Sprint(constant.Type) == "Operation":
				op, _ := text(constant.Values[0])
				operations = append(operations, op)
			case filepath.Dir(f.folder) == folder && constant.Names[0].Name == "Name":
				name, _ := text(constant.Values[0])
				providers = append(providers, name)
			}
			return true
		})
	}
	for _, name := range providers {
		for _, op := range operations {
			names = append(names, "provider."+name+"."+op)
		}
	}
	return names
}
