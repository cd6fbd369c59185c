package template_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mpac-cloud/mpac/infra/template"
)

const small = `
Parameters:
  Env: {Type: String, AllowedValues: [dev, prod]}
  Count: {Type: Number, MinValue: 1, MaxValue: 5, Default: 2}
  Ranges: {Type: CommaDelimitedList, AllowedPattern: "^([0-9.]+/[0-9]+)?$", Default: ""}
Mappings:
  Net: {A: {Cidr: 10.0.1.0/24}}
Conditions:
  IsProd: !Equals [!Ref Env, prod]
  HasRanges: !Not [!Equals [!Join ["", !Ref Ranges], ""]]
  Both: !And [!Condition IsProd, !Condition HasRanges]
Rules:
  NotAlone:
    RuleCondition: !Equals [!Ref Env, prod]
    Assertions: [{Assert: !Not [!Equals [!Ref Count, "1"]], AssertDescription: production needs two}]
Resources:
  Vpc: {Type: T::Vpc}
  Second: {Type: T::Gateway, Condition: IsProd}
  Subnet:
    Type: T::Subnet
    DependsOn: Vpc
    Properties:
      VpcId: !Ref Vpc
      Cidr: !FindInMap [Net, A, Cidr]
      Zone: !Select [1, !GetAZs ""]
      Name: !Sub "mpac-${Env}-${AWS::Region}"
      Literal: !Sub "${!kept}"
      Arn: !GetAtt Vpc.Arn
      Inside: !Sub "${Vpc.Arn}/*"
      Only: !Sub "${Vpc}"
      Local: !Sub ["${n} of ${Count}", {n: !If [IsProd, one, none]}]
      Gateway: !If [IsProd, !Ref Second, !Ref "AWS::NoValue"]
      List: [a, !If [Both, b, !Ref "AWS::NoValue"], c]
      Parts: !Split [",", "x,y"]
      Ranges: !Ref Ranges
Outputs:
  Vpc: {Description: it, Value: !Ref Vpc}
`

func parse(t *testing.T, text string) *template.Template {
	t.Helper()
	parsed, err := template.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestEvaluate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		given map[string]any
		want  map[string]any
	}{
		{map[string]any{"Env": "dev"}, map[string]any{
			"Name": "mpac-dev-ap-northeast-1", "Local": "none of 2", "List": []any{"a", "c"}, "Ranges": []any{""},
		}},
		{map[string]any{"Env": "prod", "Count": "5", "Ranges": "10.0.0.0/8,10.1.0.0/16"}, map[string]any{
			"Name": "mpac-prod-ap-northeast-1", "Local": "one of 5", "List": []any{"a", "b", "c"}, "Ranges": []any{"10.0.0.0/8", "10.1.0.0/16"},
			"Gateway": template.Reference{Stack: "s", Resource: "Second"},
		}},
	} {
		s, err := parse(t, small).Evaluate("s", c.given)
		if err != nil {
			t.Fatal(err)
		}
		c.want["VpcId"], c.want["Only"] = template.Reference{Stack: "s", Resource: "Vpc"}, template.Reference{Stack: "s", Resource: "Vpc"}
		c.want["Arn"] = template.Reference{Stack: "s", Resource: "Vpc", Attribute: "Arn"}
		c.want["Cidr"], c.want["Zone"], c.want["Literal"], c.want["Inside"], c.want["Parts"] = "10.0.1.0/24", "zone 2", "${kept}", "${Vpc.Arn}/*", []any{"x", "y"}
		if diff := cmp.Diff(c.want, s.Resources["Subnet"].Properties); diff != "" {
			t.Error(diff)
		}
		if _, there := s.Resources["Second"]; there != (c.given["Env"] == "prod") {
			t.Error("a resource whose condition does not hold must be gone, and only then")
		}
		if s.Outputs["Vpc"] != (template.Reference{Stack: "s", Resource: "Vpc"}) {
			t.Errorf("output %v", s.Outputs["Vpc"])
		}
	}
}

func TestParametersAreHeldToWhatTheyMayBe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		given map[string]any
		wrong string
	}{
		{map[string]any{}, "Env has no value"},
		{map[string]any{"Env": "test"}, "none of dev, prod"},
		{map[string]any{"Env": "dev", "Count": "6"}, "above 5"},
		{map[string]any{"Env": "dev", "Count": "0"}, "below 1"},
		{map[string]any{"Env": "dev", "Count": "many"}, "not a number"},
		{map[string]any{"Env": "dev", "Ranges": "10.0.0.0/8,anything"}, "does not match"},
		{map[string]any{"Env": "dev", "Other": "x"}, "Other is not declared"},
		{map[string]any{"Env": "prod", "Count": "1"}, "production needs two"},
	} {
		if _, err := parse(t, small).Evaluate("s", c.given); err == nil || !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%v: %v, want %q", c.given, err, c.wrong)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct{ text, wrong string }{
		"nothing":                   {"", "empty"},
		"a list":                    {"[a]", "not a mapping"},
		"no resources":              {"Parameters: {}", "no resources"},
		"an unknown section":        {"Resources: {A: {Type: T}}\nExtras: {}", "Extras is not known"},
		"an unknown tag":            {"Resources: {A: {Type: T, Properties: {X: !Nope a}}}", "!Nope"},
		"an anchor":                 {"Resources: {A: {Type: &t T}}", "anchors"},
		"a merge key":               {"Resources: {A: {Type: T, Properties: {<<: {a: b}}}}", "merge"},
		"a name twice":              {"Resources:\n  A: {Type: T}\n  A: {Type: U}", "twice"},
		"no type":                   {"Resources: {A: {Properties: {}}}", "no type"},
		"an unknown attribute":      {"Resources: {A: {Type: T, Property: {}}}", "Property is not known"},
		"a reference to nothing":    {"Resources: {A: {Type: T, Properties: {X: !Ref B}}}", "refers to B"},
		"an attribute of nothing":   {"Resources: {A: {Type: T, Properties: {X: !Sub \"${B.Arn}\"}}}", "refers to B"},
		"a condition that is not":   {"Resources: {A: {Type: T, Condition: C}}", "condition C"},
		"an if of nothing":          {"Resources: {A: {Type: T, Properties: {X: !If [C, a, b]}}}", "refers to C"},
		"a map that is not":         {"Resources: {A: {Type: T, Properties: {X: !FindInMap [M, a, b]}}}", "refers to M"},
		"waiting for nothing":       {"Resources: {A: {Type: T, DependsOn: B}}", "depends on B"},
		"a cycle":                   {"Resources: {A: {Type: T, Properties: {X: !Ref B}}, B: {Type: T, DependsOn: A}}", "cycle"},
		"an output of nothing":      {"Resources: {A: {Type: T}}\nOutputs: {O: {Value: !Ref B}}", "refers to B"},
		"something that is no YAML": {"Resources: {A: [}", "did not find"},
	} {
		if _, err := template.Parse("test.yaml", []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %v, want %q", what, err, c.wrong)
		}
	}
}

func TestReferencesToWhatIsNotMade(t *testing.T) {
	t.Parallel()
	text := strings.Replace(small, "!If [IsProd, !Ref Second, !Ref \"AWS::NoValue\"]", "!Ref Second", 1)
	if _, err := parse(t, text).Evaluate("s", map[string]any{"Env": "prod"}); err != nil {
		t.Error(err)
	}
	if _, err := parse(t, text).Evaluate("s", map[string]any{"Env": "dev"}); err == nil || !strings.Contains(err.Error(), "do not make") {
		t.Errorf("a reference to a resource that the condition left out: %v", err)
	}
}

func TestDependenciesAndUse(t *testing.T) {
	t.Parallel()
	parsed := parse(t, small)
	if got := parsed.Dependencies("Subnet"); !slices.Equal(got, []string{"Second", "Vpc"}) {
		t.Errorf("depends on %v", got)
	}
	for _, p := range []string{"Env", "Count", "Ranges"} {
		if !parsed.UsedParameters()[p] {
			t.Errorf("%s is used", p)
		}
	}
	if got := parsed.Order(); !slices.Equal(got, []string{"Vpc", "Second", "Subnet"}) {
		t.Errorf("order %v", got)
	}
}
