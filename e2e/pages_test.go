package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/e2e/platform"
)

var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// testPgwPage types what docs/pgw.md says into one shell, top to bottom.
func testPgwPage(t *testing.T, p *platform.Platform) {
	for _, tool := range []string{"bash", "curl", "jq", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("docs/pgw.md is typed in with %s, which is not on this machine: make deps installs it, or says how", tool)
		}
	}
	page, err := os.ReadFile("../docs/pgw.md")
	must(t, err)
	var script strings.Builder
	for _, block := range shellBlock.FindAllStringSubmatch(string(page), -1) {
		script.WriteString(block[1])
	}
	const env = `eval "$(bin/mpac env)"`
	if !strings.Contains(script.String(), env) {
		t.Fatalf("the page does not begin with %s", env)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	text := strings.Replace(script.String(), env, `eval "$(`+filepath.Join(p.Bin(), "mpac")+` env --dir `+p.Dir()+`)"`, 1)
	out, err := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", text).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{`"status": "succeeded"`, "one refund, the same answer", `"type":"refund.succeeded"`, `"status": "cancelled"`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it does not say %s:\n%s", want, out)
		}
	}
}
