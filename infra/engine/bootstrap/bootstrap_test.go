package bootstrap_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/mpac-cloud/mpac/infra/engine"
	"github.com/mpac-cloud/mpac/infra/engine/bootstrap"
	"github.com/mpac-cloud/mpac/infra/engine/enginetest"
	"github.com/mpac-cloud/mpac/infra/template"
)

func prepare(t *testing.T, a *enginetest.Account, env, repository string) error {
	t.Helper()
	return bootstrap.Run(t.Context(), a.Cloud, enginetest.Manifest(t), env, repository, func(format string, args ...any) { a.Say(fmt.Sprintf(format, args...)) })
}

func TestFromAnEmptyAccount(t *testing.T) {
	t.Parallel()
	a := enginetest.Empty(t)
	e := &engine.Engine{Manifest: enginetest.Manifest(t), Cloud: a.Cloud, Env: "dev"}
	if err := e.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "run mpac deploy bootstrap --env dev") {
		t.Errorf("before: %v", err)
	}
	if err := prepare(t, a, "dev", "example/mpac"); err != nil {
		t.Fatal(err)
	}
	if err := e.Open(t.Context()); err != nil {
		t.Errorf("after: %v", err)
	}
	set := a.Bucket("mpac-artefacts-123456789012-ap-northeast-1")
	for _, what := range []string{"policy", "versioning", "encryption", "publicAccessBlock", "lifecycle"} {
		if set[what] == "" {
			t.Errorf("the bucket has no %s: %v", what, set)
		}
	}
	if !strings.Contains(set["policy"], "aws:SecureTransport") {
		t.Errorf("the bucket may be read without TLS: %s", set["policy"])
	}
	// Again: nothing new.
	before := len(a.Journal())
	if err := prepare(t, a, "dev", "example/mpac"); err != nil || len(a.Journal()) != before {
		t.Errorf("the second time: %v %v", err, a.Journal()[before:])
	}
	if err := prepare(t, a, "prod", ""); err == nil || !strings.Contains(err.Error(), `belongs to "dev"`) {
		t.Errorf("a second environment in one account: %v", err)
	}
	if err := prepare(t, a, "dev", "not a repository"); err == nil {
		t.Error("a repository that is none was taken")
	}
}

type document struct {
	Statement []struct {
		Effect    string
		Action    []string
		Resource  []string
		Condition map[string]map[string]any
	}
}

func read(t *testing.T, text string) document {
	t.Helper()
	var d document
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return d
}

// CloudFormation's role may make every type of resource that a template has.
func TestTemplatesCanBeMade(t *testing.T) {
	t.Parallel()
	a := enginetest.Empty(t)
	if err := prepare(t, a, "dev", ""); err != nil {
		t.Fatal(err)
	}
	_, policies := a.Role(engine.CloudFormationRole)
	allowed := map[string]bool{"iam": true} // by its own statement
	for _, s := range read(t, policies["make-stacks"]).Statement {
		for _, action := range s.Action {
			if service, all := strings.CutSuffix(action, ":*"); all {
				allowed[service] = true
			}
		}
	}
	// Where IAM's prefix is not the type's own word.
	prefixes := map[string]string{"certificatemanager": "acm", "elasticloadbalancingv2": "elasticloadbalancing", "applicationautoscaling": "application-autoscaling", "stepfunctions": "states"}
	m := enginetest.Manifest(t)
	used := map[string]bool{}
	for _, s := range m.Stacks() {
		text, err := m.TemplateText(s)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := template.Parse(s.Name, text)
		if err != nil {
			t.Fatal(err)
		}
		for name, r := range parsed.Resources {
			service := strings.ToLower(strings.Split(r.Type, "::")[1])
			if other := prefixes[service]; other != "" {
				service = other
			}
			used[service] = true
			if !allowed[service] {
				t.Errorf("%s: %s (%s): CloudFormation's role may not use %s", s.Name, name, r.Type, service)
			}
		}
	}
	for service := range allowed {
		// ssm: parameters that give the newest machine image.
		if !used[service] && service != "ssm" {
			t.Errorf("CloudFormation's role may use %s, which no template has", service)
		}
	}
}

// The pipeline is one repository's jobs of one environment; neither role may do everything, or change itself.
func TestRoles(t *testing.T) {
	t.Parallel()
	a := enginetest.Empty(t)
	if err := prepare(t, a, "prod", "example/mpac"); err != nil {
		t.Fatal(err)
	}
	trust, policies := a.Role(bootstrap.PipelineRole)
	if got := read(t, trust).Statement[0].Condition["StringEquals"]["token.actions.githubusercontent.com:sub"]; got != "repo:example/mpac:environment:prod" {
		t.Errorf("the pipeline is %v", got)
	}
	formationTrust, formation := a.Role(engine.CloudFormationRole)
	if got := read(t, formationTrust).Statement[0].Condition["StringEquals"]["aws:SourceAccount"]; got != "123456789012" {
		t.Errorf("CloudFormation of %v", got)
	}
	all := []string{policies["deploy"], formation["make-stacks"]}
	for _, text := range all {
		for _, s := range read(t, text).Statement {
			for _, action := range s.Action {
				if action == "*" || strings.HasPrefix(action, "iam:*") || strings.HasPrefix(action, "sts:") || strings.HasPrefix(action, "organizations:") {
					t.Errorf("%s is allowed", action)
				}
				for _, resource := range s.Resource {
					if resource == "*" && s.Effect == "Allow" && strings.HasPrefix(action, "iam:") {
						t.Errorf("%s on everything", action)
					}
				}
			}
		}
	}
	if !strings.Contains(formation["make-stacks"], `"Effect":"Deny"`) || !strings.Contains(formation["make-stacks"], "role/"+bootstrap.PipelineRole) {
		t.Error("CloudFormation may change the roles that it and the pipeline work as")
	}
}
