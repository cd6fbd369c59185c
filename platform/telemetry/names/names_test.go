package names_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

const root = "../../.."

// source is one Go file outside tests.
type source struct {
	path string
	file *ast.File
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if strings.HasPrefix(name, ".") && p != root || name == "testdata" || name == "bin" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		path, err := filepath.Rel(root, p)
		all = append(all, source{filepath.ToSlash(path), file})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 200 {
		t.Fatalf("only %d files: the walk is broken", len(all))
	}
	return all
}

// selectors calls see for every x.Y in the file where x is a plain name.
func selectors(f *ast.File, see func(x, y string, n ast.Node)) {
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok {
				see(x.Name, s.Sel.Name, n)
			}
		}
		return true
	})
}

// Nothing is measured beside the registry.
func TestNoInstrumentIsMadeElsewhere(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if strings.HasPrefix(s.path, "platform/telemetry/") {
			continue
		}
		selectors(s.file, func(x, y string, _ ast.Node) {
			if x == "otel" && (y == "Meter" || y == "Tracer") {
				t.Errorf("%s uses otel.%s: metrics are in package names, spans are made by telemetry.Tracer()", s.path, y)
			}
		})
	}
}

// declared are the package-level names of a file of this package.
func declared(t *testing.T, file string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range g.Specs {
			if v, ok := spec.(*ast.ValueSpec); ok {
				for _, n := range v.Names {
					all = append(all, n.Name)
				}
			}
		}
	}
	return all
}

// Every entry of the registry is used: a metric by who measures it, a key by who writes it. What libraries measure is used by them.
func TestEveryEntryIsUsed(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, s := range sources(t) {
		inside := strings.HasPrefix(s.path, "platform/telemetry/names/")
		ast.Inspect(s.file, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && inside && s.path != "platform/telemetry/names/keys.go" {
				used["key "+id.Name] = true // keys are used by the metrics that have them
			}
			return true
		})
		selectors(s.file, func(x, y string, _ ast.Node) {
			if x == "names" && !inside {
				used[y] = true
			}
		})
	}
	libraries := map[string]bool{
		"HTTPServer": true, "HTTPClient": true, "DBClient": true, "DBErrors": true, "GoMemory": true, "GoMemLimit": true, "GoAllocated": true, "GoAllocs": true,
		"GoGCGoal": true, "GoGoroutines": true, "GoProcessors": true, "GoGC": true,
	}
	for _, name := range declared(t, "registry.go") {
		if !used[name] && !libraries[name] {
			t.Errorf("nobody measures names.%s", name)
		}
	}
	for _, name := range declared(t, "keys.go") {
		if !used[name] && !used["key "+name] {
			t.Errorf("nobody uses names.%s", name)
		}
	}
}

// The keys of our spans are constants of this package, so that there is one list of them.
func TestSpanKeysAreInTheRegistry(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if strings.HasPrefix(s.path, "platform/telemetry/") || strings.HasPrefix(s.path, "e2e/") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := f.X.(*ast.Ident)
			literal, isLiteral := call.Args[0].(*ast.BasicLit)
			if ok && x.Name == "attribute" && isLiteral && literal.Kind == token.STRING {
				t.Errorf("%s: attribute.%s(%s, ...): name the key in package names", s.path, f.Sel.Name, literal.Value)
			}
			return true
		})
	}
}

// Log lines have keys of one form; those that logs, spans and metrics share are spelt as here.
func TestLogKeysAreOfOneForm(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[a-z][a-z0-9]*([_.-][a-z0-9]+)*$`)
	misspelt := map[string]string{
		"traceId": names.TraceID, "trace": names.TraceID, "requestId": names.RequestID, "merchant": names.MerchantID, "store": names.StoreID,
		"partner": names.PartnerID, "terminal": names.TerminalID, "err": "error",
	}
	methods := []string{"Debug", "Info", "Warn", "Error", "DebugContext", "InfoContext", "WarnContext", "ErrorContext"}
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			logger, ok := f.X.(*ast.Ident)
			if !ok || logger.Name != "slog" && logger.Name != "log" || !slices.Contains(methods, f.Sel.Name) {
				return true
			}
			first := 1
			if strings.HasSuffix(f.Sel.Name, "Context") {
				first = 2
			}
			for i := first; i < len(call.Args); i += 2 {
				literal, ok := call.Args[i].(*ast.BasicLit)
				if !ok {
					break // attributes, or spread
				}
				key, err := strconv.Unquote(literal.Value)
				if err != nil || !form.MatchString(key) {
					t.Errorf("%s: the log key %s is not of the form snake_case", s.path, literal.Value)
				}
				if right, wrong := misspelt[key]; wrong {
					t.Errorf("%s: the log key %q is spelt %q elsewhere", s.path, key, right)
				}
			}
			return true
		})
	}
}

func TestMetricsAreWellFormed(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^(mpac|http|db|go)(\.[a-z][a-z0-9_]*)+$`)
	seen := map[string]bool{}
	for _, m := range names.All() {
		if !form.MatchString(m.Name) || seen[m.Name] {
			t.Errorf("%q is misnamed or twice there", m.Name)
		}
		seen[m.Name] = true
		if m.Description == "" || strings.HasSuffix(m.Description, ".") {
			t.Errorf("%s: the description is empty or ends with a full stop", m.Name)
		}
		for _, k := range m.Keys {
			if (k.Values == nil) == (k.Bound == "") {
				t.Errorf("%s: the attribute %s has either values or a bound", m.Name, k.Name)
			}
		}
	}
}
