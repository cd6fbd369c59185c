package fakeaws_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mpac-cloud/mpac/infra/engine/cloud"
	"github.com/mpac-cloud/mpac/infra/engine/enginetest"
)

const small = `
Parameters:
  Size: {Type: Number, MinValue: 1, MaxValue: 9, Default: 3}
  Names: {Type: CommaDelimitedList, Default: "a,b"}
  Kind: {Type: String, AllowedValues: [x, y], Default: x}
  Code: {Type: String, AllowedPattern: "[A-Z]{2}", Default: AB}
Conditions:
  IsY: !Equals [!Ref Kind, "y"]
Rules:
  Both:
    RuleCondition: !Equals [!Ref Kind, "y"]
    Assertions: [{Assert: !Not [!Equals [!Ref Code, AB]], AssertDescription: y needs a code of its own}]
Mappings:
  M: {a: {b: found}}
Resources:
  Topic: {Type: "AWS::SNS::Topic", Properties: {DisplayName: !Sub "${Kind}-${!literal}-${AWS::StackName}"}}
  Queue:
    Type: AWS::SQS::Queue
    DependsOn: Topic
    Properties: {MessageRetentionPeriod: !Ref Size, QueueName: !If [IsY, !Select [1, !Ref Names], !Ref "AWS::NoValue"], Tags: !Split ["-", !Join ["-", !Ref Names]]}
  Extra: {Type: "AWS::SNS::Topic", Condition: IsY, Properties: {DisplayName: !FindInMap [M, a, b]}}
  Task: {Type: "AWS::ECS::TaskDefinition", Properties: {Family: f, Memory: !Ref Size}}
  Service: {Type: "AWS::ECS::Service", Properties: {TaskDefinition: !Ref Task, ServiceName: s}}
Outputs:
  QueueArn: {Value: !GetAtt Queue.Arn}
  Topic: {Value: !Ref Topic}
  Extra: {Condition: IsY, Value: !GetAtt Extra.TopicName}
`

// give gives a stack a template, and says what changed.
func give(t *testing.T, a *enginetest.Account, template string, parameters map[string]string) (*cloud.ChangeSet, *cloud.Stack, error) {
	t.Helper()
	now, err := a.Cloud.Stack(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	set, err := a.Cloud.MakeChangeSet(t.Context(), cloud.Request{Stack: "s", Template: []byte(template), Parameters: parameters, Create: !now.Exists()})
	if err != nil || set == nil {
		return nil, now, err
	}
	stack, err := a.Cloud.Execute(t.Context(), set, nil)
	return set, stack, err
}

func TestStackLife(t *testing.T) {
	t.Parallel()
	a := enginetest.Empty(t)
	_, made, err := give(t, a, small, nil)
	if err != nil {
		t.Fatal(err)
	}
	if made.Parameters["Size"] != "3" || made.Parameters["Names"] != "a,b" || !strings.HasPrefix(made.Outputs["QueueArn"], "arn:aws:sqs:ap-northeast-1:123456789012:s-Queue-") || made.Outputs["Extra"] != "" {
		t.Errorf("made: %+v", made)
	}
	if set, _, err := give(t, a, small, nil); set != nil || err != nil {
		t.Errorf("the same again changes %+v, %v", set, err)
	}
	set, after, err := give(t, a, small, map[string]string{"Kind": "y", "Code": "ZZ", "Size": "4"})
	if err != nil {
		t.Fatal(err)
	}
	want := []cloud.Change{
		{Action: "Add", Logical: "Extra", Type: "AWS::SNS::Topic"},
		{Action: "Modify", Logical: "Topic", Type: "AWS::SNS::Topic", Replacement: "False", Properties: []string{"DisplayName"}},
		{Action: "Modify", Logical: "Queue", Type: "AWS::SQS::Queue", Replacement: "True", Properties: []string{"MessageRetentionPeriod", "QueueName"}},
		{Action: "Modify", Logical: "Task", Type: "AWS::ECS::TaskDefinition", Replacement: "True", Properties: []string{"Memory"}},
		{Action: "Modify", Logical: "Service", Type: "AWS::ECS::Service", Replacement: "False", Properties: []string{"TaskDefinition"}},
	}
	if diff := cmp.Diff(want, set.Changes); diff != "" {
		t.Error(diff)
	}
	if after.Outputs["Extra"] == "" || after.Outputs["QueueArn"] != "arn:aws:sqs:ap-northeast-1:123456789012:b" || after.Outputs["Topic"] != made.Outputs["Topic"] {
		t.Errorf("after: %v", after.Outputs)
	}
	set, _, err = give(t, a, small, nil)
	if err != nil || !strings.Contains(cmp.Diff(nil, set.Changes), "Remove") {
		t.Errorf("back: %+v %v", set, err)
	}
	if err := a.Cloud.Delete(t.Context(), after, "", nil); err != nil {
		t.Fatal(err)
	}
	if gone, err := a.Cloud.Stack(t.Context(), "s"); gone != nil || err != nil {
		t.Errorf("after removal: %+v %v", gone, err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		old, new   string
		parameters map[string]string
		want       string
	}{
		"unknown type":             {old: "AWS::SQS::Queue", new: "AWS::SQS::Pipe", want: "Unrecognized resource types: [AWS::SQS::Pipe]"},
		"unknown attribute":        {old: "Queue.Arn", new: "Queue.Length", want: "does not support attribute type Length"},
		"unknown attribute, if":    {old: "Extra.TopicName", new: "Extra.Nothing", want: "does not support attribute type Nothing"},
		"reference to nothing":     {old: "!Ref Size", new: "!Ref Sise", want: "Sise"},
		"condition of nothing":     {old: "Condition: IsY, Properties", new: "Condition: IsZ, Properties", want: "IsZ"},
		"a resource not there":     {old: "Topic: {Value: !Ref Topic}", new: "Topic: {Value: !Ref Extra}", want: "Extra"},
		"a cycle":                  {old: "${Kind}-", new: "${Queue.Arn}-", want: "ycl"},
		"unknown section":          {old: "Mappings:", new: "Mapings:", want: "Mapings"},
		"not in the map":           {old: "[M, a, b]", new: "[M, a, c]", parameters: map[string]string{"Kind": "y", "Code": "ZZ"}, want: "Unable to get mapping"},
		"out of the list":          {old: "!Select [1,", new: "!Select [7,", parameters: map[string]string{"Kind": "y", "Code": "ZZ"}, want: "nonexistent value at index 7"},
		"unknown parameter":        {parameters: map[string]string{"Sise": "1"}, want: "Parameters: [Sise] do not exist in the template"},
		"not among the values":     {parameters: map[string]string{"Kind": "z"}, want: "'Kind'"},
		"not the pattern":          {parameters: map[string]string{"Code": "ABC"}, want: "'Code'"},
		"too large":                {parameters: map[string]string{"Size": "10"}, want: "'Size'"},
		"not a number":             {parameters: map[string]string{"Size": "many"}, want: "'Size'"},
		"a rule does not hold":     {parameters: map[string]string{"Kind": "y"}, want: "y needs a code of its own"},
		"a list where text is":     {old: "DisplayName: !Sub \"${Kind}", new: "DisplayName: !Sub \"${Names}", want: "Names is not a string"},
		"an output that is a list": {old: "Topic: {Value: !Ref Topic}", new: "Topic: {Value: !Ref Names}", want: "must evaluate to a String"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := small
			if c.old != "" {
				text = strings.Replace(small, c.old, c.new, 1)
				if text == small {
					t.Fatalf("%q is not in the template", c.old)
				}
			}
			a := enginetest.Empty(t)
			_, _, err := give(t, a, text, c.parameters)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
			if a.Status("s") != "" {
				t.Errorf("a stack was made: %s", a.Status("s"))
			}
		})
	}
}

func TestSizeLimit(t *testing.T) {
	t.Parallel()
	a := enginetest.New(t, "dev")
	padded := small + strings.Repeat("# forty-two characters of nothing at all..\n", 1200)
	if len(padded) <= 51_200 {
		t.Fatal("it is not large enough")
	}
	if _, _, err := give(t, a, padded, nil); err == nil || !strings.Contains(err.Error(), "51200") {
		t.Errorf("by request: %v", err)
	}
	address, err := a.Cloud.PutTemplate(t.Context(), "s", []byte(padded))
	if err != nil {
		t.Fatal(err)
	}
	set, err := a.Cloud.MakeChangeSet(t.Context(), cloud.Request{Stack: "s", TemplateURL: address, Create: true})
	if err != nil || len(set.Changes) != 4 {
		t.Errorf("by the bucket: %+v %v", set, err)
	}
	if _, err := a.Cloud.MakeChangeSet(t.Context(), cloud.Request{Stack: "s2", TemplateURL: address + "x", Create: true}); err == nil {
		t.Error("a template that is not there was found")
	}
}

// The first failure is the cause; that what was beside it is cancelled is not.
func TestFirstFailureIsTold(t *testing.T) {
	t.Parallel()
	a := enginetest.Empty(t)
	a.Fail("s", "Topic", "Topic limit exceeded")
	_, _, err := give(t, a, small, nil)
	if err == nil || err.Error() != "s: ROLLBACK_COMPLETE: Topic (AWS::SNS::Topic): Topic limit exceeded" {
		t.Errorf("got %v", err)
	}
	dead, err := a.Cloud.Stack(t.Context(), "s")
	if err != nil || !dead.Dead() || dead.Settled() {
		t.Errorf("%+v %v", dead, err)
	}
}

func TestFigures(t *testing.T) {
	t.Parallel()
	a := enginetest.Empty(t)
	from := a.Clock.Now()
	a.Figure = func(group, metric, statistic string, minute time.Time) float64 {
		if group != "targetgroup/g/1" || metric == "TargetResponseTime" && statistic != "p95" {
			return 0
		}
		if metric == "TargetResponseTime" && minute.Sub(from) == 2*time.Minute {
			return 0.4
		}
		return map[string]float64{"RequestCount": 100, "HTTPCode_Target_5XX_Count": 1, "TargetConnectionErrorCount": 2, "TargetResponseTime": 0.1}[metric]
	}
	got, err := a.Cloud.TargetGroup(t.Context(), "targetgroup/g/1", "app/l/1", from, from.Add(5*time.Minute))
	if want := (cloud.Figures{Requests: 500, Errors: 15, P95: 400 * time.Millisecond}); err != nil || got != want || got.ErrorShare() != 0.03 {
		t.Errorf("%+v %v", got, err)
	}
	if (cloud.Figures{Errors: 1}).ErrorShare() != 1 || (cloud.Figures{}).ErrorShare() != 0 {
		t.Error("shares of nothing")
	}
}

func TestNobodyWithoutASignature(t *testing.T) {
	t.Parallel()
	a := enginetest.Empty(t)
	answer, err := http.Get(a.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("answered %s", answer.Status)
	}
}

func TestTasks(t *testing.T) {
	t.Parallel()
	a := enginetest.Empty(t)
	_, _, err := give(t, a, small, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Cloud.RunTask(t.Context(), cloud.Task{Cluster: "c", Definition: "nothing", Container: "x", Subnets: []string{"subnet-1"}, SecurityGroups: []string{"sg-1"}}); err == nil || !strings.Contains(err.Error(), "TaskDefinition not found") {
		t.Errorf("got %v", err)
	}
}
