package walls_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// databaseWays are the files that reach PostgreSQL otherwise than by platform/postgres's InTx and InReadTx, which bring the
// tenant's scope and the failpoints, with why each may.
var databaseWays = map[string]string{
	"platform/jobs/telemetry.go":                        "counts River's jobs, which are of no tenant",
	"platform/stats/stats.go":                           "holds a session lock on a connection of its own, so that one task reads the figures",
	"pgw/internal/event/store_feed.go":                  "listens on a connection of its own",
	"pgw/internal/event/store_sequencer.go":             "holds the sequencer's session lock and listens, on a connection of its own; what it writes goes through InTx",
	"pgw/internal/partition/store.go":                   "opens the owner's connection at a migration; what it does there goes through InTx",
	"pgw/internal/recon/run/store.go":                   "opens a pool of one connection, on which the run's lock and temporary tables live; each step goes through InTx",
	"pgw/pgw-backend/wiring.go":                         "asks whether the migrations ran, of no rows; lists its routes without a database",
	"smartpos/svc-smarttab/internal/partition/store.go": "opens the owner's connection at a migration; what it does there goes through InTx",
}

// outgoing are the files that speak to other processes over HTTP or TCP, with what stands around the call there.
var outgoing = map[string]string{
	"pgw/client/client.go":                            "the signed client: each call goes through do, with deadline, key and failpoints",
	"pgw/internal/provider/paypay/paypay.go":          "an adapter: called by provider.Client alone, which brings deadline and failpoints",
	"pgw/internal/provider/paypay/transport.go":       "the adapter's own connections",
	"pgw/internal/recon/source/bucket.go":             "settlement files from S3: deadline and failpoints are there, nothing is written",
	"pgw/matcher/await.go":                            "makes the client of S3 that recon/source calls with",
	"platform/postgres/iam.go":                        "makes a database password of the task's role: a signature, no call",
	"platform/sealed/kms.go":                          "data keys by AWS KMS: deadline and failpoints are there",
	"platform/service/health.go":                      "the container's health command asks its own service",
	"smartpos/gateway/edge/internal/proxy/edge.go":    "a proxy: it passes on what came, once",
	"smartpos/gateway/edge/internal/proxy/forward.go": "the same",
	"smartpos/gateway/figures.go":                     "Kong's sidecar reads Kong's figures, and reads them again at the next turn",
	"smartpos/gateway/gateway.go":                     "Kong's sidecar reads public keys, with a deadline, and asks again at the next turn",
	"smartpos/gateway/sync.go":                        "Kong's sidecar posts a whole configuration, with a deadline; the same again changes nothing",
	"smartpos/internal/access/http_jwks.go":           "public keys that verify tokens: the failpoints are there, the deadline is its client's",
	"smartpos/svc-smarttab/wiring.go":                 "makes the client that access asks for keys with",
	"platform/httpserver/openapitest/openapitest.go":  "test code",
}

// code is a file of the services with its syntax.
type code struct {
	file
	tree *ast.File
}

// production is what the services' binaries are made of, without what is generated.
func production(t *testing.T) []code {
	t.Helper()
	var all []code
	for _, f := range sources(t) {
		if f.test || !under(f.pkg, "pgw", "smartpos", "platform") || strings.HasSuffix(f.name, "_gen.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", f.path), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, code{f, tree})
	}
	return all
}

// selectors are the names that the file takes from a package, as New of pgxpool.New.
func (c code) selectors(importPath string) (names []string) {
	local := ""
	for _, i := range c.tree.Imports {
		if strings.Trim(i.Path.Value, `"`) == importPath {
			if local = path.Base(strings.TrimSuffix(importPath, "/v5")); i.Name != nil {
				local = i.Name.Name
			}
		}
	}
	if local == "" {
		return nil
	}
	ast.Inspect(c.tree, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if pkg, isName := s.X.(*ast.Ident); isName && pkg.Name == local {
				names = append(names, s.Sel.Name)
			}
		}
		return true
	})
	return names
}

// holdTo reports what a file does that only the files of the list may, and what is on the list without need.
func holdTo(t *testing.T, list map[string]string, does func(code) []string) {
	t.Helper()
	needed := map[string]bool{}
	for _, c := range production(t) {
		did := does(c)
		needed[c.path] = len(did) > 0
		if len(did) > 0 && list[c.path] == "" {
			slices.Sort(did)
			t.Errorf("%s: %v is not for this file; the list of those that may is in internal/walls", c.path, slices.Compact(did))
		}
	}
	for name := range list {
		if !needed[name] {
			t.Errorf("%s is on the list without need", name)
		}
	}
}

// Statements and transactions that go past InTx and InReadTx see every tenant's rows, or none, and no crash test meets them.
func TestTransactionsGoThroughOneDoor(t *testing.T) {
	t.Parallel()
	holdTo(t, databaseWays, func(c code) []string {
		if under(c.pkg, "platform/postgres") || strings.HasSuffix(c.pkg, "test") {
			return nil
		}
		var did []string
		for importPath, names := range map[string][]string{
			"github.com/jackc/pgx/v5":         {"Connect", "ConnectConfig", "BeginFunc", "BeginTxFunc"},
			"github.com/jackc/pgx/v5/pgxpool": {"New", "NewWithConfig"},
			"database/sql":                    {"Open", "OpenDB"},
			module + "platform/postgres":      {"Connect"},
		} {
			did = append(did, among(c.selectors(importPath), names)...)
		}
		if !slices.ContainsFunc(c.imports, sqlImport.MatchString) {
			return did
		}
		ast.Inspect(c.tree, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				did = append(did, pastInTx(call)...)
			}
			return true
		})
		return did
	})
}

// pastInTx names a call that runs SQL on anything but a transaction that was handed in as tx, or begins one.
func pastInTx(call *ast.CallExpr) []string {
	fun, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	receiver := fmt.Sprint(fun.X)
	whole := []string{fun.Sel.Name}
	switch fun.Sel.Name {
	case "BeginTx", "Acquire", "AcquireFunc", "AcquireAllIdle":
		return whole
	case "Begin":
		if len(call.Args) == 1 {
			return whole
		}
	case "Exec", "Query", "QueryRow", "SendBatch", "CopyFrom":
		if len(call.Args) > 1 && receiver != "tx" {
			if _, isValue := call.Args[1].(*ast.CompositeLit); !isValue { // a provider's Query is about a payment
				return whole
			}
		}
	case "New":
		if strings.HasSuffix(receiver, "db") && len(call.Args) == 1 && fmt.Sprint(call.Args[0]) != "tx" {
			return []string{receiver + ".New"}
		}
	}
	return nil
}

func among(used, names []string) []string {
	return slices.DeleteFunc(used, func(name string) bool { return !slices.Contains(names, name) })
}

// A call out of the process has a deadline and a path for "no answer"; those that move money have a key and failpoints too.
// What the wrappers' lists miss, no crash test meets.
func TestCallsLeaveByTheWrappers(t *testing.T) {
	t.Parallel()
	holdTo(t, outgoing, func(c code) []string {
		var did []string
		for importPath, names := range map[string][]string{
			"net/http":          {"Client", "DefaultClient", "DefaultTransport", "Transport", "Get", "Head", "Post", "PostForm"},
			"net/http/httputil": {"ReverseProxy", "NewSingleHostReverseProxy"},
			"net":               {"Dial", "DialTimeout", "Dialer", "DialTCP", "DialUDP"},
			"crypto/tls":        {"Dial", "DialWithDialer", "Dialer"},
			"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp": {"DefaultClient", "Get", "Head", "Post", "PostForm"},
		} {
			did = append(did, among(c.selectors(importPath), names)...)
		}
		for _, i := range c.imports {
			if i == "net/smtp" || strings.HasPrefix(i, "github.com/aws/aws-sdk-go-v2/service/") || strings.HasPrefix(i, "github.com/aws/aws-sdk-go-v2/feature/") {
				did = append(did, i)
			}
		}
		return did
	})
}
