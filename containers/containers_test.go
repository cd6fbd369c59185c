// Package containers_test holds the container files against the rest of the repository without a container engine: what they copy
// is there, what they build is built as `make build` does, what they pass is what the binaries read.
package containers_test

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

const root = ".."

// instruction is one of a Dockerfile's.
type instruction struct{ stage, base, name, args string }

// dockerfile reads the instructions, continuation lines joined.
func dockerfile(t *testing.T) []instruction {
	t.Helper()
	var all []instruction
	stage, base := "", ""
	text := strings.ReplaceAll(read(t, "Dockerfile"), "\\\n", " ")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, args, _ := strings.Cut(line, " ")
		if name == "FROM" {
			words := slices.DeleteFunc(strings.Fields(args), func(w string) bool { return strings.HasPrefix(w, "--") })
			if len(words) != 3 || words[1] != "AS" {
				t.Fatalf("FROM %s: every stage has a name", args)
			}
			base, stage = words[0], words[2]
		}
		all = append(all, instruction{stage, base, name, strings.TrimSpace(args)})
	}
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// copied are the sources of a COPY that come from the repository, and where they go; from is another stage's name.
func copied(args string) (sources []string, into, from string) {
	words := strings.Fields(args)
	for len(words) > 0 && strings.HasPrefix(words[0], "--") {
		if stage, ok := strings.CutPrefix(words[0], "--from="); ok {
			from = stage
		}
		words = words[1:]
	}
	return words[:len(words)-1], words[len(words)-1], from
}

func TestEverySourceOfACopyIsThere(t *testing.T) {
	t.Parallel()
	binaries := makefileBinaries(t)
	for _, i := range dockerfile(t) {
		if i.name != "COPY" {
			continue
		}
		sources, _, from := copied(i.args)
		for _, source := range sources {
			switch from {
			case "":
				if _, err := os.Stat(filepath.Join(root, source)); err != nil {
					t.Errorf("%s: COPY %s: %v", i.stage, i.args, err)
				}
			case "build":
				name, isBinary := strings.CutPrefix(source, "/src/bin/")
				if isBinary && binaries[name] == "" || !isBinary && source != "/empty" {
					t.Errorf("%s: COPY %s: `make build` makes no %s", i.stage, i.args, source)
				}
			default:
				t.Errorf("%s: COPY %s: there is no stage to copy from", i.stage, i.args)
			}
		}
	}
}

// makefileBinaries reads which binary the Makefile builds from which package.
func makefileBinaries(t *testing.T) map[string]string {
	t.Helper()
	text := strings.ReplaceAll(read(t, "../Makefile"), "\\\n", " ")
	line := regexp.MustCompile(`(?m)^BINARIES := (.*)$`).FindStringSubmatch(text)
	if line == nil {
		t.Fatal("the Makefile has no BINARIES")
	}
	all := map[string]string{}
	for _, pair := range strings.Fields(line[1]) {
		name, pkg, _ := strings.Cut(pair, "=")
		all[name] = pkg
	}
	return all
}

// The images' binaries are those of `make build`, because make builds them there too: nothing else in the Dockerfile compiles.
func TestBinariesAreBuiltAsMakeBuildDoes(t *testing.T) {
	t.Parallel()
	built := 0
	for _, i := range dockerfile(t) {
		if i.name != "RUN" {
			continue
		}
		if strings.Contains(i.args, "make build") {
			built++
		}
		for _, by := range []string{"go build", "go install", "ldflags", "CGO_ENABLED", "GOFLAGS"} {
			if strings.Contains(i.args, by) {
				t.Errorf("%s: RUN %s: %s goes its own way", i.stage, i.args, by)
			}
		}
	}
	if built != 1 {
		t.Errorf("`make build` is run %d times, it must be once", built)
	}
	makefile := read(t, "../Makefile")
	for _, flag := range []string{"CGO_ENABLED=0 go build -trimpath", "-s -w -X github.com/mpac-cloud/mpac/platform/service.Version=$(VERSION)"} {
		if !strings.Contains(makefile, flag) {
			t.Errorf("the Makefile does not build with %q any more: static, reproducible, with its version", flag)
		}
	}
}

// What the binaries are made of is all copied into the build.
func TestBuildHasEveryPackage(t *testing.T) {
	t.Parallel()
	folders := map[string]bool{}
	for _, i := range dockerfile(t) {
		if i.name == "COPY" && i.stage == "build" {
			sources, _, _ := copied(i.args)
			for _, s := range sources {
				folders[s] = true
			}
		}
	}
	args := append([]string{"list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}"}, slices.Sorted(maps.Values(makefileBinaries(t)))...)
	command := exec.CommandContext(t.Context(), "go", args...)
	command.Dir = root
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for _, pkg := range strings.Fields(string(out)) {
		if path, ours := strings.CutPrefix(pkg, "github.com/mpac-cloud/mpac/"); ours {
			if folder, _, _ := strings.Cut(path, "/"); !folders[folder] {
				missing[folder] = true
			}
		}
	}
	if len(missing) > 0 {
		t.Errorf("the build stage copies no %v, which the binaries need", slices.Sorted(maps.Keys(missing)))
	}
}

func TestImagesAreSmallAndWithoutRights(t *testing.T) {
	t.Parallel()
	user, base, entry := map[string]string{}, map[string]string{}, map[string]string{}
	for _, i := range dockerfile(t) {
		base[i.stage] = i.base
		switch i.name {
		case "USER":
			user[i.stage] = i.args
		case "ENTRYPOINT":
			entry[i.stage] = i.args
		}
	}
	for _, ours := range []string{"svc-portal", "svc-smarttab", "pgw-backend", "matcher", "gateway-sync", "sandbox"} {
		if base[ours] != "runtime" {
			t.Errorf("%s stands on %q, it must stand on runtime", ours, base[ours])
		}
		want := `["/` + ours + `"]`
		if ours == "gateway-sync" {
			want = `["/mpac"]`
		}
		if entry[ours] != want {
			t.Errorf("%s starts %s, it must start %s", ours, entry[ours], want)
		}
	}
	if !strings.HasPrefix(base["runtime"], "gcr.io/distroless/static-") || !strings.HasSuffix(base["runtime"], ":nonroot") {
		t.Errorf("runtime stands on %q", base["runtime"])
	}
	for stage := range base {
		at := stage
		if base[stage] == "runtime" {
			at = "runtime"
		}
		if numeric := regexp.MustCompile(`^[1-9][0-9]*:[0-9]+$`); stage != "build" && !numeric.MatchString(user[at]) {
			t.Errorf("%s runs as %q, it must be a number other than root's", stage, user[at])
		}
		if stage != "build" && strings.HasSuffix(base[stage], ":latest") {
			t.Errorf("%s: %s is whatever comes", stage, base[stage])
		}
	}
}

// The versions that the platform is made for.
func TestVersions(t *testing.T) {
	t.Parallel()
	base := map[string]string{}
	for _, i := range dockerfile(t) {
		base[i.stage] = i.base
	}
	for stage, prefix := range map[string]string{
		"build": "golang:1.26-", "kong": "kong:3.9.", "grafana": "grafana/grafana:12.3.0", "alloy": "grafana/alloy:v1.12.", "prometheus": "prom/prometheus:v3.8.",
		"alertmanager": "prom/alertmanager:v0.28.", "loki": "grafana/loki:3.6.", "tempo": "grafana/tempo:2.9.",
	} {
		if !strings.HasPrefix(base[stage], prefix) {
			t.Errorf("%s is %q, it must be %s...", stage, base[stage], prefix)
		}
	}
}

// Every image that a stack takes is a target here, and the other way round (the sandbox is for machines without providers).
func TestTargetsAreTheManifestsRepositories(t *testing.T) {
	t.Parallel()
	var manifest struct{ Repositories []string }
	parse(t, "../infra/manifest.yaml", &manifest)
	var want []string
	for _, r := range manifest.Repositories {
		want = append(want, strings.TrimPrefix(r, "mpac/"))
	}
	stages := map[string]bool{}
	for _, i := range dockerfile(t) {
		stages[i.stage] = true
	}
	for _, other := range []string{"build", "runtime", "sandbox"} {
		delete(stages, other)
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(stages)); !slices.Equal(got, want) {
		t.Errorf("the targets are %v, the registry's repositories %v", got, want)
	}
}

func parse(t *testing.T, path string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, path)), into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// Kong's file is the edge's own: the image has none, and its companion carries the template that the edge reads.
func TestKongHasTheEdgesFile(t *testing.T) {
	t.Parallel()
	for _, i := range dockerfile(t) {
		if i.stage == "kong" && i.name == "COPY" && !strings.Contains(i.args, "/empty") {
			t.Errorf("kong: COPY %s: its configuration comes from its companion", i.args)
		}
	}
	others, err := filepath.Glob("*kong*")
	if err != nil {
		t.Fatal(err)
	}
	if len(others) > 0 {
		t.Errorf("there is a second file of Kong's: %v", others)
	}
	for _, variable := range []string{"KONG_DECLARATIVE_CONFIG", "KONG_DECLARATIVE_CONFIG_STRING"} {
		if _, set := services(t)["kong"].Environment[variable]; set {
			t.Errorf("kong: %s is set: its configuration comes from its companion", variable)
		}
	}
	command := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{$d := .Dir}}{{range .EmbedFiles}}{{$d}}/{{.}}\n{{end}}", makefileBinaries(t)["edge"])
	command.Dir = root
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "/smartpos/gateway/kong.template.yml\n") {
		t.Error("the edge's binary does not have smartpos/gateway/kong.template.yml in it")
	}
}

// service is one of compose.yaml's.
type service struct {
	Image          string
	NetworkMode    string `yaml:"network_mode"`
	Build          struct{ Context, Dockerfile, Target string }
	Command        any
	Environment    map[string]string
	Volumes, Ports []string
	Secrets        []string
	Networks       any
	ReadOnly       bool     `yaml:"read_only"`
	CapDrop        []string `yaml:"cap_drop"`
	Profiles       []string
	Healthcheck    struct{ Test []string }
}

func services(t *testing.T) map[string]service {
	t.Helper()
	var file struct {
		Services map[string]service
		Secrets  map[string]any
		Volumes  map[string]any
	}
	parse(t, "compose.yaml", &file)
	for name, s := range file.Services {
		for _, secret := range s.Secrets {
			if file.Secrets[secret] == nil {
				t.Errorf("%s: there is no secret %s", name, secret)
			}
		}
	}
	return file.Services
}

func TestComposeBuildsTargetsAndMountsFilesThatAreThere(t *testing.T) {
	t.Parallel()
	stages := map[string]bool{}
	for _, i := range dockerfile(t) {
		stages[i.stage] = true
	}
	for name, s := range services(t) {
		if target := s.Build.Target; target != "" && !stages[target] {
			t.Errorf("%s: the Dockerfile has no target %s", name, target)
		}
		if own, isOwn := strings.CutPrefix(s.Image, "mpac/"); isOwn {
			if target, _, _ := strings.Cut(own, ":"); !stages[target] || s.Build.Target != "" && s.Build.Target != target {
				t.Errorf("%s: %s is not the target it is built from", name, s.Image)
			}
		} else if !strings.Contains(s.Image, ":") || strings.HasSuffix(s.Image, ":latest") {
			t.Errorf("%s: %s has no version", name, s.Image)
		}
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			if !strings.HasPrefix(source, ".") {
				continue
			}
			if !strings.HasSuffix(v, ":ro") {
				t.Errorf("%s: %s could be written to", name, v)
			}
			checkConfiguration(t, name, source)
		}
	}
}

// checkConfiguration parses what a container reads. What only its own program can parse is held by the tests beside it.
func checkConfiguration(t *testing.T, service, path string) {
	t.Helper()
	err := filepath.WalkDir(path, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		var into any
		switch filepath.Ext(path) {
		case ".yml", ".yaml":
			// In Prometheus's a list is a variable of its own.
			text := strings.ReplaceAll(read(t, path), "[${TEMPO_TARGETS}]", "[]")
			return yaml.Unmarshal([]byte(text), &into)
		case ".json":
			return json.Unmarshal([]byte(read(t, path)), &into)
		}
		return nil
	})
	if err != nil {
		t.Errorf("%s: %s: %v", service, path, err)
	}
}

// Each variable that a service of ours gets is one that its binary reads, and each that it must have is given.
func TestVariablesAreThoseTheBinariesRead(t *testing.T) {
	t.Parallel()
	for name, s := range services(t) {
		image, isOwn := strings.CutPrefix(s.Image, "mpac/")
		image, _, _ = strings.Cut(image, ":")
		binary := map[string]string{"gateway-sync": "mpac"}[image]
		if binary == "" {
			binary = image
		}
		if !isOwn || makefileBinaries(t)[binary] == "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			known := variables(t, image, s.Command)
			for variable := range s.Environment {
				if _, reads := known[variable]; !reads {
					t.Errorf("%s is passed and never read", variable)
				}
			}
			for variable, required := range known {
				if _, given := s.Environment[variable]; required && !given {
					t.Errorf("%s must be given", variable)
				}
			}
			for _, local := range []string{"MPAC_LOCAL", "MPAC_CLOCK_OFFSET", "MPAC_FAILPOINT_DIR"} {
				if _, given := s.Environment[local]; given {
					t.Errorf("%s is for mpac up alone", local)
				}
			}
		})
	}
}

// variables asks a binary what it reads, by the command that the container runs, and whether it can do without.
func variables(t *testing.T, image string, command any) map[string]bool {
	t.Helper()
	var words []string
	if list, ok := command.([]any); ok {
		for _, w := range list {
			words = append(words, w.(string))
		}
	}
	binary := image
	if image == "gateway-sync" {
		binary = "edge" // mpac runs it
	}
	all := configured(t, binary)
	for _, w := range words {
		if own, reads := all[w]; reads {
			return own
		}
	}
	return all[""]
}

// configured asks a binary for the variables of its commands; "" is the service itself.
func configured(t *testing.T, binary string) map[string]map[string]bool {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, "bin", binary))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), path, "config", "--json")
	command.Env = []string{}
	out, err := command.Output()
	var printed struct {
		Variables []variable
		Commands  map[string][]variable
	}
	// An incomplete configuration is an error, and printed all the same.
	if parseErr := json.Unmarshal(out, &printed); parseErr != nil || len(printed.Variables) == 0 {
		t.Fatalf("bin/%s config --json: %v %v (make build)", binary, err, parseErr)
	}
	all := map[string]map[string]bool{}
	for name, list := range printed.Commands {
		all[name] = required(list)
	}
	all[""] = required(printed.Variables)
	return all
}

type variable struct {
	Name     string
	Required bool
}

func required(list []variable) map[string]bool {
	all := map[string]bool{}
	for _, v := range list {
		all[v.Name] = v.Required
	}
	return all
}

// Ports and health: where a service listens is what the image exposes, what others call and what is published.
func TestPortsAndHealth(t *testing.T) {
	t.Parallel()
	all := services(t)
	exposed := map[string][]string{}
	for _, i := range dockerfile(t) {
		if i.name == "EXPOSE" {
			exposed[i.stage] = strings.Fields(i.args)
		}
	}
	for name, port := range map[string]string{"svc-portal": "8002", "svc-smarttab": "8080", "pgw-backend": "8080"} {
		s := all[name]
		if got := s.Environment["LISTEN_ADDR"]; got != ":"+port {
			t.Errorf("%s listens on %q, it must be :%s", name, got, port)
		}
		if !slices.Equal(exposed[name], []string{port}) {
			t.Errorf("%s exposes %v", name, exposed[name])
		}
		if want := []string{"CMD", "/" + name, "health"}; !slices.Equal(s.Healthcheck.Test, want) {
			t.Errorf("%s is asked for its health by %v, it must be %v", name, s.Healthcheck.Test, want)
		}
	}
	for name, want := range map[string]string{
		"prometheus": "http://127.0.0.1:9090/-/ready", "alertmanager": "http://127.0.0.1:9093/-/ready", "grafana": "http://127.0.0.1:3000/api/health",
	} {
		if !slices.Contains(all[name].Healthcheck.Test, want) {
			t.Errorf("%s is asked for its health by %v", name, all[name].Healthcheck.Test)
		}
	}
	for name, s := range all {
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s: port %s is open to the network that this machine is in", name, p)
			}
		}
		for variable, value := range s.Environment {
			for _, m := range regexp.MustCompile(`(?:https?|postgres|redis)://(?:[^@/]*@)?([a-z][a-z.-]+):(\d+)`).FindAllStringSubmatch(value, -1) {
				checkAddress(t, all, name+": "+variable, m[1], m[2])
			}
		}
	}
}

// listens says which ports a service answers on.
var listens = map[string][]string{
	"postgres-smartpos": {"5432"}, "postgres-pgw": {"5432"}, "redis-smartpos": {"6379"}, "redis-pgw": {"6379"}, "svc-portal": {"8002"}, "svc-smarttab": {"8080"},
	"api.pgw.mpac.internal": {"8080"}, "otlp.obs.mpac.internal": {"4318"}, "sandbox": {"8090", "8091"}, "prometheus": {"9090"}, "alertmanager": {"9093"}, "loki": {"3100"},
	"tempo": {"3200", "4317"}, "pager": {"8080"}, "localhost": {"8000", "8080", "8090", "3000"},
}

func checkAddress(t *testing.T, all map[string]service, where, host, port string) {
	t.Helper()
	if _, there := all[host]; !there && !strings.HasSuffix(host, ".internal") && host != "localhost" {
		t.Errorf("%s: there is no %s", where, host)
	}
	if !slices.Contains(listens[host], port) {
		t.Errorf("%s: %s does not answer on %s", where, host, port)
	}
}

// The three systems share no network but the one that stands for the internet, and no database is on it.
func TestSystemsMeetOutsideOnly(t *testing.T) {
	t.Parallel()
	all := services(t)
	for name, s := range all {
		on := networks(s.Networks)
		own := slices.DeleteFunc(slices.Clone(on), func(n string) bool { return n == "internet" })
		if len(own) > 1 {
			t.Errorf("%s is in %v: it joins two systems", name, own)
		}
		for _, kept := range []string{"postgres", "redis", "loki", "tempo", "objects"} {
			if strings.HasPrefix(name, kept) && slices.Contains(on, "internet") {
				t.Errorf("%s can be reached by the other systems", name)
			}
		}
		if strings.HasPrefix(s.Image, "mpac/") && (!s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"})) {
			t.Errorf("%s: its root file system can be written to, or it keeps capabilities", name)
		}
	}
	if got := all["gateway-sync"]; networks(got.Networks) != nil {
		t.Error("gateway-sync has a network of its own: Kong's Admin API is on loopback only")
	}
}

func networks(v any) []string {
	switch v := v.(type) {
	case []any:
		var all []string
		for _, n := range v {
			all = append(all, n.(string))
		}
		return all
	case map[string]any:
		return slices.Sorted(maps.Keys(v))
	}
	return nil
}

// Every secret comes from the environment file that start.sh makes: none is written down, none is forgotten.
func TestSecretsAreMadeByStart(t *testing.T) {
	t.Parallel()
	text, start := read(t, "compose.yaml"), read(t, "start.sh")
	for _, m := range regexp.MustCompile(`\$\{([A-Z_]+)(:-[^}]*)?\}`).FindAllStringSubmatch(text, -1) {
		if m[2] == "" && !strings.Contains(start, m[1]) {
			t.Errorf("%s is taken from .env, and start.sh does not make it", m[1])
		}
	}
	secret := regexp.MustCompile(`(PASSWORD|TOKEN|SECRET|SEAL_KEY)$`)
	for name, s := range services(t) {
		for variable, value := range s.Environment {
			if secret.MatchString(variable) && !strings.HasPrefix(value, "${") {
				t.Errorf("%s: %s is written down", name, variable)
			}
		}
	}
	for _, ignored := range []string{"/.env\n", "/secrets/\n"} {
		if !strings.Contains(read(t, ".gitignore"), ignored) {
			t.Errorf("%s can be committed", strings.TrimSpace(ignored))
		}
	}
}
