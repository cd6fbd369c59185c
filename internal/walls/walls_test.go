package walls_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/mpac-cloud/mpac/"

// file is one Go source file, seen from the repository's root, with what it imports.
type file struct {
	path    string // pgw/internal/intent/http.go
	pkg     string // pgw/internal/intent
	name    string // http.go
	imports []string
	test    bool
}

func sources(t *testing.T) []file {
	t.Helper()
	root := filepath.Join("..", "..")
	var all []file
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != "." && d.Name() != ".." || d.Name() == "testdata" || d.Name() == "bin" || d.Name() == "tmp") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		f := file{path: filepath.ToSlash(rel), pkg: path.Dir(filepath.ToSlash(rel)), name: d.Name(), test: strings.HasSuffix(p, "_test.go")}
		for _, i := range parsed.Imports {
			f.imports = append(f.imports, strings.Trim(i.Path.Value, `"`))
		}
		all = append(all, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Fatalf("only %d files found: the walk is broken", len(all))
	}
	return all
}

func under(p string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return p == f || strings.HasPrefix(p, f+"/") })
}

// inModule is the import's folder in this repository, or "".
func inModule(importPath string) string {
	folder, ours := strings.CutPrefix(importPath, module)
	if !ours {
		return ""
	}
	return folder
}

// What each part of the picture may import of the others. pgw's client is the one door between systems.
func TestSystemsMeetOverHTTPOnly(t *testing.T) {
	t.Parallel()
	systems := []string{"smartpos", "pgw", "sandbox", "obs", "infra", "cmd", "internal", "e2e", "containers"}
	allowed := map[string][]string{
		"platform":   {},
		"smartpos":   {"smartpos", "pgw/client"},
		"pgw":        {"pgw"},
		"sandbox":    {"sandbox"},
		"obs":        {"obs"},
		"infra":      {"infra"},
		"containers": {"containers", "infra/template"},
		"cmd":        {"cmd", "internal/ops", "infra/engine"},
		"internal":   {"internal", "infra/engine"},
		"e2e":        {"e2e", "internal/ops"},
	}
	for _, f := range sources(t) {
		home, _, _ := strings.Cut(f.path, "/")
		permitted, known := allowed[home]
		if f.pkg == "e2e/otlpstore" {
			permitted = nil
		}
		if !known {
			if home != f.path { // a file at the root belongs to no system
				t.Errorf("%s: the folder %s is not in the picture", f.path, home)
			}
			continue
		}
		for _, i := range f.imports {
			folder := inModule(i)
			if f.test && folder == "e2e/otlpstore" {
				continue // what takes telemetry in a test, and imports nothing of ours
			}
			if folder != "" && under(folder, systems...) && !under(folder, permitted...) {
				t.Errorf("%s imports %s: %s may import only %v of the systems", f.path, folder, home, permitted)
			}
		}
	}
}

// The two services of smartpos share a database and the packages beside it, never each other's inside.
func TestServicesOfASystemKeepApart(t *testing.T) {
	t.Parallel()
	for _, f := range sources(t) {
		for _, i := range f.imports {
			for _, service := range []string{"smartpos/svc-portal", "smartpos/svc-smarttab", "smartpos/gateway", "pgw/pgw-backend", "pgw/matcher"} {
				if under(inModule(i), service) && !under(f.pkg, service) {
					t.Errorf("%s imports %s", f.path, i)
				}
			}
		}
	}
}

// The sandbox is written from the providers' documents: a mistake that it shared with the adapters would prove itself right.
func TestSandboxSharesNoCodeWithTheAdapters(t *testing.T) {
	t.Parallel()
	for _, f := range sources(t) {
		if under(f.pkg, "sandbox") && slices.Contains(f.imports, module+"platform/hmacsig") {
			t.Errorf("%s imports the platform's signatures", f.path)
		}
	}
}

// An exception says why.
type exception struct {
	pattern string
	why     string
}

// Packages that are not a concept of a service with rules, storage and a face.
var notConcepts = []exception{
	{`^pgw/client$`, "is HTTP: the signed client"},
	{`^pgw/internal/provider(/|$)`, "speaks HTTP to the providers"},
	{`^pgw/internal/pgwdb(/|$)|^smartpos/internal/mpacdb(/|$)`, "is SQL"},
	{`^(pgw/pgw-backend|pgw/matcher|smartpos/svc-portal|smartpos/svc-smarttab|sandbox)$`, "is a main: it wires"},
	{`^smartpos/gateway(/|$)`, "is a proxy"},
	{`^sandbox(/|$)`, "plays another company's HTTP API"},
}

var (
	httpImport = regexp.MustCompile(`^net/http$|^github\.com/gin-gonic/gin|^github\.com/danielgtaylor/huma|^` + module + `platform/httpserver$`)
	sqlImport  = regexp.MustCompile(`^github\.com/jackc/pgx|^database/sql$|^` + module + `(pgw/internal/pgwdb|smartpos/internal/mpacdb/[a-z]+)$`)
	httpFile   = regexp.MustCompile(`^http(_[a-z0-9_]+)?\.go$`)
	sqlFile    = regexp.MustCompile(`^store(_[a-z0-9_]+)?\.go$`)
)

func TestConceptsKeepHTTPAndSQLInTheirFiles(t *testing.T) {
	t.Parallel()
	for _, f := range sources(t) {
		if f.test || !under(f.pkg, "pgw", "smartpos", "sandbox") || matchesAny(f.pkg, notConcepts) || strings.HasSuffix(f.pkg, "test") {
			continue
		}
		for _, i := range f.imports {
			if httpImport.MatchString(i) && !httpFile.MatchString(f.name) {
				t.Errorf("%s imports %s: HTTP belongs in http.go", f.path, i)
			}
			if sqlImport.MatchString(i) && !sqlFile.MatchString(f.name) {
				t.Errorf("%s imports %s: SQL belongs in store.go", f.path, i)
			}
		}
	}
}

func matchesAny(s string, patterns []exception) bool {
	return slices.ContainsFunc(patterns, func(e exception) bool { return regexp.MustCompile(e.pattern).MatchString(s) })
}

func TestNoRoomWithoutAName(t *testing.T) {
	t.Parallel()
	nameless := []string{"utils", "util", "common", "helpers", "helper", "models", "services", "misc", "shared", "base"}
	for _, f := range sources(t) {
		for part := range strings.SplitSeq(f.pkg, "/") {
			if slices.Contains(nameless, part) {
				t.Errorf("%s: a package is named after what it is about, not %q", f.path, part)
			}
		}
	}
}

// The jobs that may see every tenant, in one list. Adding a name here is a decision about tenancy.
var crossTenant = map[string]string{
	"pgw.sequencer":          "events of every partner get their places in one order of commits",
	"pgw.operator":           "a person looks at payments of every partner that need eyes, and puts a ledger's missing line back",
	"pgw.partitions":         "makes and drops days of tables, and moves rows of any tenant that came before them",
	"pgw.notifications":      "a provider's notification is of no tenant: it is kept and not believed",
	"recon.holders":          "the matcher finds out whose a provider's contract is, and whose a line of a shared one",
	"recon.audit":            "an operator proves every chain of the audit log",
	"recon.report":           "an operator writes the report of any run",
	"portal.login":           "signing in and staying in happen before a tenant is known",
	"portal.activation":      "a terminal with a code has no tenant yet",
	"portal.device_token":    "a terminal with an assertion has no tenant yet",
	"portal.keys":            "signing keys belong to no tenant",
	"portal.seed":            "the first operator is made before anybody is there",
	"portal.sync_backlog":    "counts what waits for the payment gateway, for an alarm",
	"portal.operator":        "a person looks at what any merchant's changes wait for, and has them sent",
	"portal.housekeeping":    "clears away what has expired, everybody's",
	"intent_sweep":           "takes up intents that are due, whoever's they are, and works each within its own tenant",
	"refund_sweep":           "the same for refunds",
	"provider_webhook":       "a notification names an attempt; the tenant is found by it",
	"intent_metrics":         "counts unknown outcomes, for an alarm",
	"recon.figures":          "counts the matcher's results and open exceptions for the metrics, and keeps the days that have no run",
	"ledger.watch":           "looks for transactions that do not come to zero, whoever's they are",
	"authenticate":           "an API key is looked up before its partner is known",
	"partner_admin":          "an operator makes partners and keys",
	"pgw.resolution":         "an operator looks for what waits for a person, whoever's it is, and resolves each within its own tenant",
	"smarttab.feed":          "finds whose payment an event of the gateway is about, and keeps what cannot be applied",
	"smarttab.payment.sweep": "finds whose payments a dead process has left behind",
	"smarttab.figures":       "counts payments and business days that should have ended, for the metrics",
	"portal.figures":         "counts tenants, terminals and the age of keys, for the metrics",
	"smarttab.operator":      "a person finds payments and days of any store that should have ended",
	"smarttab.partitions":    "makes days of tables and looks for rows of any tenant that came before them",
}

var crossTenantCall = regexp.MustCompile(`postgres\.CrossTenant\(([^)]*)\)`)

func TestCrossTenantJobsAreTheseAndNoOthers(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, f := range sources(t) {
		if f.test || under(f.pkg, "platform") {
			continue
		}
		for _, name := range namesIn(t, f, crossTenantCall) {
			seen[name] = true
			if crossTenant[name] == "" {
				t.Errorf("%s: the job %q may not see every tenant: it is not in the list", f.path, name)
			}
		}
	}
	for name := range crossTenant {
		if !seen[name] {
			t.Errorf("the list names %q, which no code uses any more", name)
		}
	}
}

// namesIn finds the string literal that a call is made with. Anything else there, such as a variable, hides the name.
func namesIn(t *testing.T, f file, call *regexp.Regexp) []string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("..", "..", f.path))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, match := range call.FindAllStringSubmatch(string(source), -1) {
		name := strings.Trim(match[1], `"`)
		if name == match[1] {
			t.Errorf("%s: %s must be called with the name itself", f.path, match[0])
		}
		names = append(names, name)
	}
	return names
}
