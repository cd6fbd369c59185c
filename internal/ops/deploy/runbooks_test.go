package deploy_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/mpac-cloud/mpac/infra/engine/enginetest"
	"github.com/mpac-cloud/mpac/infra/engine/manifest"
	"github.com/mpac-cloud/mpac/infra/engine/release"
	"github.com/mpac-cloud/mpac/internal/ops/command"
	"github.com/mpac-cloud/mpac/internal/ops/deploy"
)

// Every `mpac deploy` that a page tells somebody to type, at night, is one that mpac, the manifest and the service itself take.
func TestPagesTellWhatCanBeTyped(t *testing.T) {
	t.Parallel()
	infra := enginetest.Infra(t)
	r := reader{manifest: enginetest.Manifest(t), bin: filepath.Join(infra, "..", "bin")}
	pages, err := filepath.Glob(filepath.Join(infra, "..", "docs", "runbooks", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, page := range append(pages, filepath.Join(infra, "..", "docs", "deploy.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range commandsOf(string(text)) {
			seen[line] = true
			if err := r.check(t, line); err != nil {
				t.Errorf("%s: %s\n  %v", filepath.Base(page), line, err)
			}
		}
	}
	// What --help shows is a page too.
	var help func(c *cobra.Command)
	help = func(c *cobra.Command) {
		for line := range strings.Lines(c.Example) {
			if err := r.check(t, rest.ReplaceAllString(strings.TrimSpace(line), "")); err != nil && !strings.Contains(line, "mpac db tunnel --help") {
				t.Errorf("%s --help: %s\n  %v", c.CommandPath(), line, err)
			}
		}
		for _, sub := range c.Commands() {
			help(sub)
		}
	}
	for _, c := range deploy.Commands() {
		help(c)
	}
	if len(seen) < 50 {
		t.Errorf("only %d commands found: the reading is broken", len(seen))
	}
}

// What is wrong is found.
func TestPagesThatTellNonsense(t *testing.T) {
	t.Parallel()
	r := reader{manifest: enginetest.Manifest(t), bin: filepath.Join(enginetest.Infra(t), "..", "bin")}
	for line, want := range map[string]string{
		"mpac deploy run --env prod pgw pgw-backend -- partner key revoke pk_live_...": "",
		"mpac deploy run --env prod pgw pgw-backend -- partner key revoke":             "accepts 1 arg",
		"mpac deploy run --env prod pgw pgw-backend -- partner key take pk_live_...":   "DATABASE_URL",
		"mpac deploy run --env prod pgw pgw-backend -- partner key add":                "required flag",
		"mpac deploy run --env prod pgw pgw-backend":                                   "needs a command",
		"mpac deploy run --env prod pgw svc-portal -- keys list":                       "no task",
		"mpac deploy run --env prod pgw":                                               "requires at least 2",
		"mpac deploy rollback --env prod kong":                                         "no service kong",
		"mpac deploy rollback --env prod":                                              "which service",
		"mpac deploy --env production smartpos":                                        "production",
		"mpac deploy status":                                                           "--env",
		"mpac deploy --env prod smartpso":                                              "smartpso",
		"mpac deploy secrets --env prod --rotate partner":                              "nothing of that name",
		"mpac deploy release --env prod --retired":                                     "unknown flag",
		"mpac deploy --env prod --version <the one before> smartpos":                   "cannot be typed",
		"mpac db tunnel --env prod --port 25432":                                       "",
	} {
		if err := r.check(t, line); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

var (
	fence  = regexp.MustCompile("(?ms)^ *```[a-z]*\n(.*?)^ *```")
	inline = regexp.MustCompile("`([^`]+)`")
	ours   = regexp.MustCompile(`^(bin/)?(mpac (deploy|db) .*)$`)
	rest   = regexp.MustCompile(`\s+[#|].*$`)
)

// commandsOf are a page's calls of mpac deploy and mpac db, in blocks and within lines.
func commandsOf(page string) []string {
	var all []string
	take := func(line string) {
		if m := ours.FindStringSubmatch(rest.ReplaceAllString(strings.TrimSpace(line), "")); m != nil {
			all = append(all, m[2])
		}
	}
	for _, block := range fence.FindAllStringSubmatch(page, -1) {
		for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
			take(line)
		}
	}
	for _, span := range inline.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		take(strings.Join(strings.Fields(span[1]), " "))
	}
	return all
}

// reader reads command lines as mpac would, up to where it would do something.
type reader struct {
	manifest *manifest.Manifest
	bin      string
}

func (r reader) check(t *testing.T, line string) error {
	t.Helper()
	if strings.ContainsAny(line, "<>") {
		return fmt.Errorf("it has a placeholder that cannot be typed")
	}
	words, err := split(line)
	if err != nil {
		return err
	}
	cmd, left, err := command.Root().Find(words[1:])
	if err != nil {
		return fmt.Errorf("%w", err)
	}
	if err := cmd.ParseFlags(left); err != nil {
		return fmt.Errorf("%w", err)
	}
	args := cmd.Flags().Args()
	if err := cmd.ValidateArgs(args); err != nil {
		return fmt.Errorf("%w", err)
	}
	if env, _ := cmd.Flags().GetString("env"); r.manifest.Environments[env].Domain == "" && env != "$ENVIRONMENT" {
		return fmt.Errorf("--env is %q", env)
	}
	switch cmd.Name() {
	case "deploy", "plan", "destroy":
		_, err = r.manifest.Select(args, map[string]bool{"dns": true})
	case "rollback":
		if len(args) == 0 {
			return fmt.Errorf("which service?")
		}
		_, err = release.Services(r.manifest, args)
	case "release":
		_, err = release.Services(r.manifest, args)
	case "secrets":
		rotate, _ := cmd.Flags().GetString("rotate")
		if r.manifest.Secrets[rotate].Kind != manifest.Partner && rotate != "" && rotate != "otlp" {
			return fmt.Errorf("--rotate %s: there is nothing of that name", rotate)
		}
	case "run":
		return r.inner(t, args[0], args[1], args[2:])
	}
	return err
}

// binaries are those of the tasks that take commands.
var binaries = map[string]string{"svc-portal": "svc-portal", "svc-smarttab": "svc-smarttab", "pgw-backend": "pgw-backend", "partner": "pgw-backend", "matcher": "matcher"}

// inner asks the service's binary itself: a command that it takes fails for want of a database, and of nothing before.
func (r reader) inner(t *testing.T, stack, task string, words []string) error {
	t.Helper()
	s := r.manifest.Stack(stack)
	switch {
	case s == nil || s.Tasks[task].Definition == "":
		return fmt.Errorf("there is no task %s %s", stack, task)
	case !s.Tasks[task].NeedsCommand && len(words) == 0:
		return nil
	case len(words) == 0:
		return fmt.Errorf("%s needs a command", task)
	}
	binary := binaries[task]
	if binary == "" {
		return fmt.Errorf("the test does not know the binary of %s; it knows %v", task, slices.Sorted(maps.Keys(binaries)))
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(r.bin, binary), words...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir(), "MATCHER_SOURCE_DIR=" + t.TempDir()}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	_ = cmd.Run() // it fails; what it says is what counts
	if !strings.Contains(said.String(), `"DATABASE_URL" is not set`) {
		return fmt.Errorf("%s does not get as far as to miss DATABASE_URL: %s", binary, said.String())
	}
	return nil
}

// split splits a line into words as a shell does, with quotes and without anything else.
func split(line string) ([]string, error) {
	var words []string
	word, open, quote := "", false, rune(0)
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, open = c, true
		case quote == 0 && c == ' ':
			if open {
				words = append(words, word)
			}
			word, open = "", false
		default:
			word, open = word+string(c), true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote is not closed")
	}
	if open {
		words = append(words, word)
	}
	return words, nil
}
