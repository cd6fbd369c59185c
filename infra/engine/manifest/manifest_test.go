package manifest_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/mpac-cloud/mpac/infra/engine/manifest"
)

const good = `
region: ap-northeast-1
environments: {dev: {domain: example.com}, stg: {domain: stg.example.com, without: [dns]}}
options: {dns: {default: true}}
repositories: [mpac/a]
secrets:
  token: {name: "x/{env}/token", kind: otlp-accepted}
systems:
  one:
    - {name: net, template: net.yaml, parameters: {Peer: {outputs: [two.Address, two.Other], each: "{}/32", skip: none, otherwise: ""}}}
    - {name: names, template: names.yaml, optional: dns, needs: [net], parameters: {Vpc: {output: net.Vpc}}}
    - name: run
      template: run.yaml
      needs: [net, names]
      parameters:
        Vpc: {output: net.Vpc}
        Certificate: {output: names.Arn, otherwise: ""}
        Image: {image: mpac/a}
        Token: {secret: token}
        Dns: {option: dns}
        Bucket: {bootstrap: bucket}
  two:
    - {name: two, template: two.yaml}
`

func load(t *testing.T, text string) (*manifest.Manifest, error) {
	t.Helper()
	return manifest.Load(fstest.MapFS{"manifest.yaml": {Data: []byte(text)}})
}

func names(stacks []*manifest.Stack) []string {
	out := []string{}
	for _, s := range stacks {
		out = append(out, s.Name)
	}
	return out
}

func TestSelect(t *testing.T) {
	t.Parallel()
	m, err := load(t, good)
	if err != nil {
		t.Fatal(err)
	}
	with, without := map[string]bool{"dns": true}, map[string]bool{"dns": false}
	for _, c := range []struct {
		names   []string
		options map[string]bool
		want    []string
		err     string
	}{
		{nil, with, []string{"net", "names", "run", "two"}, ""},
		{nil, without, []string{"net", "run", "two"}, ""},
		{[]string{"run", "net"}, with, []string{"net", "run"}, ""},
		{[]string{"one"}, with, []string{"net", "names", "run"}, ""},
		{[]string{"two", "net"}, with, []string{"net", "two"}, ""},
		{[]string{"names"}, without, nil, "belongs to dns, which is turned off"},
		{[]string{"three"}, with, nil, `no system or stack "three"; systems: one, two; stacks: net, names, run, two`},
		{nil, map[string]bool{"ipv6": true}, nil, `no option "ipv6"; there are: dns`},
	} {
		got, err := m.Select(c.names, c.options)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%v: %v", c.names, err)
			}
			continue
		}
		if diff := cmp.Diff(c.want, names(got.Stacks())); diff != "" || err != nil {
			t.Errorf("%v: %v %s", c.names, err, diff)
		}
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	m, err := load(t, good)
	if err != nil {
		t.Fatal(err)
	}
	there := func(stacks ...string) func(string) bool {
		return func(s string) bool { return strings.Contains(strings.Join(stacks, " ")+" ", s+" ") }
	}
	for _, c := range []struct {
		names []string
		dns   bool
		there func(string) bool
		ok    bool
	}{
		{[]string{"run"}, true, there("net", "names"), true},
		{[]string{"run"}, true, there("net"), false},
		{[]string{"run"}, false, there("net"), true}, // what is turned off is not waited for
		{[]string{"net", "run"}, false, there(), true},
		{[]string{"two"}, true, there(), true}, // systems do not wait for each other
	} {
		selection, err := m.Select(c.names, map[string]bool{"dns": c.dns})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.CheckDeploy(selection, c.there); (err == nil) != c.ok || err != nil && !errors.Is(err, manifest.ErrOrder) {
			t.Errorf("%v, dns %v: %v", c.names, c.dns, err)
		}
	}
	selection, err := m.Select([]string{"net"}, map[string]bool{"dns": true})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.CheckDestroy(selection, there("net", "run")); !errors.Is(err, manifest.ErrOrder) {
		t.Errorf("net is removed from under run: %v", err)
	}
	if err := m.CheckDestroy(selection, there("net", "two")); err != nil {
		t.Errorf("net alone: %v", err)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	m, err := load(t, good)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		env  string
		said map[string]bool
		want bool
	}{{"dev", nil, true}, {"stg", nil, false}, {"dev", map[string]bool{"dns": false}, false}, {"stg", map[string]bool{"dns": true}, true}} {
		if got := m.OptionsOf(c.env, c.said)["dns"]; got != c.want {
			t.Errorf("%s, said %v: %v", c.env, c.said, got)
		}
	}
}

func TestBadManifests(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ old, new, want string }{
		{"needs: [net, names]", "needs: [net, names, two]", "systems do not wait for each other"},
		{"template: net.yaml,", "template: net.yaml, needs: [run],", "which comes after it"},
		{"optional: dns", "optional: ipv6", `the option "ipv6" is not there`},
		{"{output: net.Vpc}}}\n    - name: run", "{output: net}}}\n    - name: run", "is not an output of a stack"},
		{`{output: names.Arn, otherwise: ""}`, "{output: names.Arn}", "names is optional; say `otherwise`"},
		{"needs: [net, names]", "needs: [names]", "the stack does not need net"},
		{"{image: mpac/a}", "{image: mpac/b}", `the repository "mpac/b" is not there`},
		{"{image: mpac/a}", "{image: mpac/a, option: dns}", "2 sources; there must be one"},
		{"{image: mpac/a}", "{}", "0 sources"},
		{"{secret: token}", "{secret: tokens}", `the secret "tokens" is not there`},
		{"{option: dns}", "{option: ipv6}", `the option "ipv6" is not there`},
		{"{bootstrap: bucket}", "{bootstrap: moon}", `bootstrap makes no "moon"`},
		{"otlp-accepted", "otlp-lost", `its kind "otlp-lost" is not known`},
		{"otlp-accepted}", "partner, stack: two, task: t, partner: p}", "must name a task that makes it"},
		{"{name: two,", "{name: net,", "net is there twice"},
		{"without: [dns]", "without: [ipv6]", `stg does without "ipv6"`},
		{"repositories:", "repositorys:", "field repositorys not found"},
		{"region: ap-northeast-1", "", "region, environments and systems must be there"},
	} {
		text := strings.Replace(good, c.old, c.new, 1)
		if text == good {
			t.Fatalf("%q is not in it", c.old)
		}
		if _, err := load(t, text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.new, err)
		}
	}
	if _, err := manifest.Load(fstest.MapFS{}); err == nil {
		t.Error("no manifest is a manifest")
	}
}

func TestTemplatesAreHeldAgainstIt(t *testing.T) {
	t.Parallel()
	text := strings.Replace(good, "{name: two, template: two.yaml}", `{name: two, template: two.yaml, parameters: {Dns: {option: dns}}, services: {s: {prefix: S, image: mpac/a, load_balancer: Lb}}}`, 1)
	m, err := manifest.Load(fstest.MapFS{"manifest.yaml": {Data: []byte(text)}, "parameters/dev/two.yaml": {Data: []byte("Size: 3\nDns: x\nMore: y\n")}})
	if err != nil {
		t.Fatal(err)
	}
	err = m.CheckTemplate("dev", m.Stack("two"), manifest.Names{
		Parameters: map[string]bool{"EnvironmentName": false, "Size": false, "Dns": false, "Forgotten": false, "SBlueImage": false, "SGreenImage": false, "SBlueWeight": true},
		Outputs:    []string{"Address", "ClusterName"},
	})
	for _, want := range []string{
		"names the parameter SGreenWeight, which its template has not", "parameters/dev names More, which its template has not",
		"Dns comes from the manifest and from parameters/dev", "nothing gives a value to the parameter Forgotten",
		"reads the output Other, which its template has not", "reads the output Lb, which its template has not", "reads the output SBlueTargetGroup",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("not told: %s", want)
		}
	}
	if err != nil && (strings.Contains(err.Error(), "EnvironmentName") || strings.Contains(err.Error(), "Size")) {
		t.Errorf("told wrongly: %v", err)
	}
}

func TestSeals(t *testing.T) {
	t.Parallel()
	task := manifest.Task{Sealed: []string{"partner create", "partner key add"}}
	for command, want := range map[string]bool{
		"partner create --name x":               true,
		"partner --json create":                 true,
		"partner key --form2-only add":          true,
		"partner key add --partner cp_1":        true,
		"partner key revoke pk_live_1":          false,
		"partner key add --help":                false,
		"operator list":                         false,
		"operator propose pa_1 --note 'create'": false,
		"":                                      false,
	} {
		if got := task.Seals(strings.Fields(command)); got != want {
			t.Errorf("%q: %v", command, got)
		}
	}
}

func TestTasksOfTheManifest(t *testing.T) {
	t.Parallel()
	const tasks = "systems:\n  one:\n    - {name: net, template: net.yaml, tasks: {t: {definition: D, container: c, cluster: C, %s}}, parameters: {Peer"
	for what, want := range map[string]string{
		"sealed: [partner create]":                      "seals commands and does not need one",
		"sealed: [partner create], needs_command: true": "",
		"exits: {1: it failed}":                         "exit code 1",
		"exits: {2: \"\"}":                              "exit code 2",
		"exits: {2: exceptions are open}":               "",
	} {
		text := strings.Replace(good, "systems:\n  one:\n    - {name: net, template: net.yaml, parameters: {Peer", strings.Replace(tasks, "%s", what, 1), 1)
		if _, err := load(t, text); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
