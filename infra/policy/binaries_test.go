package policy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mpac-cloud/mpac/infra/engine/manifest"
	"github.com/mpac-cloud/mpac/infra/policy"
	"github.com/mpac-cloud/mpac/infra/template"
)

// A container of the templates and the command of ours that runs in it.
type container struct {
	stack, task, name string
	binary, command   string   // command: whose variables it reads; empty: the service's own
	routes            bool     // it serves /health and /ready
	check             []string // arguments whose help must exist
}

var containers = []container{
	{stack: "smartpos", task: "SvcPortalBlueTask", name: "svc-portal", binary: "svc-portal", routes: true, check: []string{"serve"}},
	{stack: "smartpos", task: "SvcPortalGreenTask", name: "svc-portal", binary: "svc-portal", routes: true, check: []string{"serve"}},
	{stack: "smartpos", task: "SvcSmarttabBlueTask", name: "svc-smarttab", binary: "svc-smarttab", routes: true, check: []string{"serve"}},
	{stack: "smartpos", task: "SvcSmarttabGreenTask", name: "svc-smarttab", binary: "svc-smarttab", routes: true, check: []string{"serve"}},
	{stack: "smartpos", task: "MigrateTask", name: "migrate", binary: "svc-portal", command: "migrate", check: []string{"migrate"}},
	{stack: "smartpos", task: "SeedTask", name: "seed", binary: "svc-portal", command: "seed", check: []string{"seed"}},
	{stack: "smartpos", task: "SvcSmarttabOperatorTask", name: "operator", binary: "svc-smarttab", check: []string{"--help"}},
	{stack: "smartpos", task: "KongTask", name: "sync", binary: "edge", command: "sync", check: []string{"sync"}},
	{stack: "pgw", task: "PgwBackendBlueTask", name: "pgw-backend", binary: "pgw-backend", routes: true, check: []string{"serve"}},
	{stack: "pgw", task: "PgwBackendGreenTask", name: "pgw-backend", binary: "pgw-backend", routes: true, check: []string{"serve"}},
	{stack: "pgw", task: "MigrateTask", name: "migrate", binary: "pgw-backend", command: "migrate", check: []string{"migrate"}},
	{stack: "pgw", task: "PartnerTask", name: "partner", binary: "pgw-backend", command: "partner", check: []string{"partner"}},
	{stack: "pgw", task: "MatcherTask", name: "matcher", binary: "matcher", check: []string{"run"}},
}

// others are containers of other people's programs.
var others = []string{"smartpos/KongTask/kong", "obs-ecs/AlloyTask/alloy", "obs-ecs/GrafanaTask/grafana"}

// openSecrets are variables with something secret in their name or nature that may come from Secrets Manager or stand open.
var besideSecrets = []string{
	"PGW_API_KEY", // not secret; it travels with its secret
}

// unset are variables without a default that the cloud's tasks leave out, and why.
var unset = map[string]string{
	"MPAC_FAILPOINT_DIR":         "for a platform on one machine",
	"SEAL_KEY_FILE":              "SEAL_KMS_KEY instead",
	"ROLE_PASSWORDS":             "the roles log in by IAM",
	"SEED_ADMIN_TOTP_SECRET":     "enrolled at the first sign-in",
	"PORTAL_URL":                 "terminals reach svc-portal by the gateway only",
	"MATCHER_ARCHIVE_DIR":        "the bucket itself keeps files as received",
	"OTEL_TRACES_SAMPLER_ARG":    "one-off tasks' traces are all taken",
	"OTEL_EXPORTER_OTLP_HEADERS": "without mpac-obs nothing is sent, and no token is read",
}

type variable struct {
	Name, Default    string
	Required, Secret bool
}

// printed is what `config --json` says.
type printed struct {
	Variables []variable
	Commands  map[string][]variable
	Values    map[string]string
	Error     string
}

// TestTasksAreWhatTheBinariesRead holds task definitions against the binaries, both ways: every variable of a task is one that its
// binary reads, everything that the binary must have is given, secrets as secrets, and the binary takes the values.
func TestTasksAreWhatTheBinariesRead(t *testing.T) {
	t.Parallel()
	bin := built(t)
	src, err := policy.Read(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, c := range containers {
		known[c.stack+"/"+c.task+"/"+c.name] = true
	}
	for i, v := range []policy.Variant{{Env: "prod", DNS: true}, {Env: "dev", DNS: true}, {Env: "stg", Alone: true}} {
		w := src.World(v)
		everyContainer(w, func(name string) {
			if !known[name] && !slices.Contains(others, name) {
				t.Errorf("%s: no test says which binary runs in it", name)
			}
		})
		for _, c := range containers {
			t.Run(fmt.Sprintf("%s/%s/%s %s", c.stack, c.task, c.name, v), func(t *testing.T) {
				t.Parallel()
				task := w.Stacks[c.stack].Resources[c.task]
				if task == nil {
					t.Fatal("it is not there")
				}
				c.compare(t, bin, task)
				if i == 0 {
					c.commands(t, bin, task)
					c.ports(t, bin, task)
				}
			})
		}
	}
}

func everyContainer(w *policy.World, found func(name string)) {
	for stack, s := range w.Stacks {
		for _, task := range s.Of("AWS::ECS::TaskDefinition") {
			for _, c := range task.List("ContainerDefinitions") {
				found(stack + "/" + task.Name + "/" + template.Text(template.At(c, "Name")))
			}
		}
	}
}

// built is where `make build`, which `make test` begins with, puts the binaries.
func built(t *testing.T) string {
	t.Helper()
	bin, err := filepath.Abs(filepath.Join("..", "..", "bin"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range containers {
		if _, err := os.Stat(filepath.Join(bin, c.binary)); err != nil {
			t.Fatalf("bin/%s is not there: make build", c.binary)
		}
	}
	return bin
}

func (c container) run(ctx context.Context, bin string, environment map[string]string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(bin, c.binary), args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir()}
	for name, value := range environment {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		err = errors.Join(err, errors.New(complaint.String()))
	}
	return out, err
}

func (c container) compare(t *testing.T, bin string, task *template.Resource) {
	t.Helper()
	open, secret := c.given(task)
	values := map[string]string{}
	for name, value := range open {
		values[name] = value
	}
	for name := range secret {
		values[name] = stand(name)
	}
	out, err := c.run(t.Context(), bin, values, "config", "--json")
	if err != nil {
		t.Fatalf("config --json: %v", err)
	}
	var says printed
	if err := json.Unmarshal(out, &says); err != nil {
		t.Fatal(err)
	}
	reads := says.Variables
	if c.command != "" {
		reads = says.Commands[c.command]
	} else if says.Error != "" {
		t.Errorf("it does not start with these values: %s", says.Error)
	}
	if len(reads) == 0 {
		t.Fatalf("%s config --json says nothing of %q", c.binary, c.command)
	}
	c.theyKnow(t, reads, open, secret)
	c.theyGet(t, reads, open, secret)
}

// given are a container's variables, and those that come from Secrets Manager with where from.
func (c container) given(task *template.Resource) (open, secret map[string]string) {
	open, secret = map[string]string{}, map[string]string{}
	for _, definition := range task.List("ContainerDefinitions") {
		if template.Text(template.At(definition, "Name")) != c.name {
			continue
		}
		for _, e := range template.List(template.At(definition, "Environment")) {
			// What only AWS knows is a name here; addresses must look like some.
			open[template.Text(template.At(e, "Name"))] = unknown.ReplaceAllString(template.Text(template.At(e, "Value")), "known-to-aws.example.com")
		}
		for _, e := range template.List(template.At(definition, "Secrets")) {
			secret[template.Text(template.At(e, "Name"))] = template.Text(template.At(e, "ValueFrom"))
		}
	}
	return open, secret
}

var unknown = regexp.MustCompile(`\$\{[^}]*\}`)

// stand is a value that a secret could have.
func stand(name string) string {
	switch name {
	case "REDIS_URL":
		return "rediss://:not-a-password@redis.example.com:6379/0"
	case "PGW_API_KEY":
		return "pk_test_" + strings.Repeat("0", 32)
	case "PGW_SECRET_KEY":
		return "sk_test_" + strings.Repeat("0", 64)
	default:
		return "x"
	}
}

// theyKnow: no variable that the binary does not read.
func (c container) theyKnow(t *testing.T, reads []variable, open, secret map[string]string) {
	t.Helper()
	for _, names := range []map[string]string{open, secret} {
		for name := range names {
			if !slices.ContainsFunc(reads, func(v variable) bool { return v.Name == name }) {
				t.Errorf("%s is given, and %s %s does not read it", name, c.binary, c.command)
			}
			if strings.HasPrefix(name, "MPAC_") {
				t.Errorf("%s is for a platform on one machine", name)
			}
		}
	}
}

// theyGet: all that the binary must have; what is secret as a secret.
func (c container) theyGet(t *testing.T, reads []variable, open, secret map[string]string) {
	t.Helper()
	for _, v := range reads {
		_, isOpen := open[v.Name]
		_, isSecret := secret[v.Name]
		switch {
		case isOpen && isSecret:
			t.Errorf("%s is given twice", v.Name)
		case v.Required && !isOpen && !isSecret:
			t.Errorf("%s is required, and not given", v.Name)
		case v.Name == "TRUSTED_PROXIES" && !c.routes: // nobody calls it
		case v.Default == "" && !isOpen && !isSecret && unset[v.Name] == "":
			t.Errorf("%s has no default and is not given; say why in the test's table", v.Name)
		case v.Name == "DATABASE_URL" && isOpen:
			// An address without a password is no secret: the task logs in with a token, or with DATABASE_PASSWORD.
			if userinfo, _, _ := strings.Cut(strings.TrimPrefix(open[v.Name], "postgres://"), "@"); strings.Contains(userinfo, ":") {
				t.Error("DATABASE_URL shows a password")
			}
		case v.Secret && isOpen:
			t.Errorf("%s is a secret, and stands open", v.Name)
		case !v.Secret && isSecret && !slices.Contains(besideSecrets, v.Name):
			t.Errorf("%s is no secret, and comes from Secrets Manager", v.Name)
		}
	}
}

// commands: the container's command and health check are the binary's.
func (c container) commands(t *testing.T, bin string, task *template.Resource) {
	t.Helper()
	for _, definition := range task.List("ContainerDefinitions") {
		if template.Text(template.At(definition, "Name")) != c.name {
			continue
		}
		command := template.Texts(template.At(definition, "Command"))
		if len(command) > 0 && command[0] == "gateway" {
			command = command[1:] // mpac gateway is the edge's binary
		}
		if len(command) == 0 || command[0] != c.check[0] {
			t.Errorf("the command is %v, it must begin with %v", command, c.check)
			continue
		}
		help, err := c.run(t.Context(), bin, nil, command[0], "--help")
		if err != nil {
			t.Errorf("%s %s: %v", c.binary, command[0], err)
		}
		for _, flag := range command[1:] {
			if strings.HasPrefix(flag, "--") && !bytes.Contains(help, []byte(flag)) {
				t.Errorf("%s %s knows no %s", c.binary, command[0], flag)
			}
		}
		if check := template.Texts(template.At(definition, "HealthCheck.Command")); len(check) > 0 {
			if check[0] != "CMD" || check[1] != "/"+c.binary || len(check) != 3 {
				t.Errorf("the health check is %v", check)
			} else if _, err := c.run(t.Context(), bin, nil, check[2], "--help"); err != nil {
				t.Errorf("%v: %v", check, err)
			}
		}
	}
}

// ports: the container listens where the load balancer looks, and has the paths that it asks for.
func (c container) ports(t *testing.T, bin string, task *template.Resource) {
	t.Helper()
	if !c.routes {
		return
	}
	open, _ := c.given(task)
	address := open["LISTEN_ADDR"]
	_, port, err := net.SplitHostPort(address)
	if mapped := task.Text("ContainerDefinitions.0.PortMappings.0.ContainerPort"); err != nil || port != mapped {
		t.Errorf("it listens on %q, port %s is open", address, mapped)
	}
	out, err := c.run(t.Context(), bin, nil, "routes", "--json")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/health", "/ready"} {
		if !bytes.Contains(out, []byte(`"path":"`+path+`"`)) {
			t.Errorf("%s has no route %s", c.binary, path)
		}
	}
}

// TestKongHasTheSecretsThatItsFileNames reads the vault references of the gateway's file.
func TestKongHasTheSecretsThatItsFileNames(t *testing.T) {
	t.Parallel()
	var wanted []string
	for _, file := range []string{"gateway.go", "kong.template.yml"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "smartpos", "gateway", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\{vault://env/([a-z-]+)\}`).FindAllSubmatch(text, -1) {
			wanted = append(wanted, strings.ToUpper(strings.ReplaceAll(string(m[1]), "-", "_")))
		}
	}
	slices.Sort(wanted)
	src, err := policy.Read(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	kong := container{name: "kong"}
	_, secret := kong.given(src.World(policy.Variants()[0]).Stacks["smartpos"].Resources["KongTask"])
	var given []string
	for name := range secret {
		given = append(given, name)
	}
	slices.Sort(given)
	if !slices.Equal(slices.Compact(wanted), given) {
		t.Errorf("Kong's file names %v, the task gives %v", wanted, given)
	}
}

// TestCommandsThatAnswerWithASecretAreSealed: whatever knows --seal-to is known to the manifest, and the reverse.
func TestCommandsThatAnswerWithASecretAreSealed(t *testing.T) {
	t.Parallel()
	bin := built(t)
	m, err := manifest.Load(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ stack, task, binary string }{
		{"smartpos", "svc-portal", "svc-portal"},
		{"smartpos", "svc-smarttab", "svc-smarttab"},
		{"pgw", "pgw-backend", "pgw-backend"},
		{"pgw", "partner", "pgw-backend"},
		{"pgw", "matcher", "matcher"},
	} {
		var sealed []string
		each(t, container{binary: c.binary}, bin, nil, func(command []string, help string) {
			if strings.Contains(help, "--seal-to") {
				sealed = append(sealed, strings.Join(command, " "))
			}
		})
		want := slices.Sorted(slices.Values(m.Stack(c.stack).Tasks[c.task].Sealed))
		if slices.Sort(sealed); !slices.Equal(sealed, want) {
			t.Errorf("%s %s: the commands %q know --seal-to, the manifest says %q", c.stack, c.task, sealed, want)
		}
	}
}

// each calls with a command and those below it, and their help.
func each(t *testing.T, c container, bin string, command []string, call func(command []string, help string)) {
	t.Helper()
	out, err := c.run(t.Context(), bin, nil, append(slices.Clone(command), "--help")...)
	if err != nil {
		t.Fatalf("%s %v: %v", c.binary, command, err)
	}
	call(command, string(out))
	_, rest, _ := strings.Cut(string(out), "\nAvailable Commands:\n")
	rest, _, _ = strings.Cut(rest, "\n\n")
	for line := range strings.Lines(rest) {
		if name, _, _ := strings.Cut(strings.TrimSpace(line), " "); name != "" && name != "help" && name != "completion" {
			each(t, c, bin, append(slices.Clone(command), name), call)
		}
	}
}
