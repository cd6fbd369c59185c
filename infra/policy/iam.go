package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mpac-cloud/mpac/infra/template"
)

// statement is one of a policy's.
type statement struct {
	Sid, Effect          string
	Actions              []string
	Resource             any
	Principal, Condition any
	odd                  []string // NotAction and the like
}

func statements(document any) []statement {
	var all []statement
	for _, v := range template.List(template.Object(document)["Statement"]) {
		m := template.Object(v)
		st := statement{Sid: template.Text(m["Sid"]), Effect: template.Text(m["Effect"]), Actions: template.Texts(m["Action"]), Resource: m["Resource"], Principal: m["Principal"], Condition: m["Condition"]}
		for _, key := range []string{"NotAction", "NotResource", "NotPrincipal"} {
			if m[key] != nil {
				st.odd = append(st.odd, key)
			}
		}
		all = append(all, st)
	}
	return all
}

// checkIAM: no action or resource `*` without a stated reason, no policies of AWS's own, roles for services of this account only.
func checkIAM(c *checker, s *template.Stack) {
	for _, r := range s.Each() {
		switch r.Type {
		case "AWS::IAM::Role":
			c.role(r)
		case "AWS::IAM::InstanceProfile":
		case "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::User", "AWS::IAM::Group", "AWS::IAM::AccessKey", "AWS::IAM::UserPolicy":
			c.say(r.Name, "a %s: policies stand in the role they belong to, and there are no users", r.Type)
		case "AWS::KMS::Key":
			for _, st := range statements(r.Get("KeyPolicy")) {
				c.keyStatement(r, st)
			}
		case "AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy", "AWS::SecretsManager::ResourcePolicy":
			for _, st := range statements(r.Get("PolicyDocument")) {
				c.resourceStatement(r, st)
			}
		}
	}
}

func (c *checker) role(r *template.Resource) {
	for _, st := range statements(r.Get("AssumeRolePolicyDocument")) {
		services := template.Texts(template.Object(st.Principal)["Service"])
		if st.Effect != "Allow" || len(template.Object(st.Principal)) != 1 || len(services) != 1 || !strings.HasSuffix(services[0], ".amazonaws.com") {
			c.say(r.Name, "it can be taken by %v, which is not one of AWS's services", st.Principal)
		}
		// EC2's own trust has no source; the others act for a caller that must be in this account.
		if account := template.Text(template.At(st.Condition, "StringEquals.aws:SourceAccount")); services != nil && services[0] != "ec2.amazonaws.com" && account != "111122223333" {
			c.say(r.Name, "%s may take it for any account", services[0])
		}
	}
	if arns := r.List("ManagedPolicyArns"); len(arns) > 0 {
		c.say(r.Name, "it has policies that are written elsewhere: %v", arns)
	}
	reasons := template.Object(r.Metadata["WildcardReasons"])
	used := map[string]bool{}
	for _, p := range r.List("Policies") {
		for _, st := range statements(template.Object(p)["PolicyDocument"]) {
			if c.wild(r, st) {
				used[st.Sid] = true
				if template.Text(reasons[st.Sid]) == "" {
					c.say(r.Name, "the statement %q has a `*` and no reason in Metadata.WildcardReasons", st.Sid)
				}
			}
		}
	}
	for _, sid := range slices.Sorted(maps.Keys(reasons)) {
		if !used[sid] {
			c.say(r.Name, "a reason is given for the statement %q, which has no `*` or is not there", sid)
		}
	}
}

// wild says whether a statement has a bare `*`; what no reason excuses is said at once.
func (c *checker) wild(r *template.Resource, st statement) bool {
	if st.Effect != "Allow" {
		c.say(r.Name, "the statement %q is %s: roles say what is allowed", st.Sid, st.Effect)
	}
	for _, odd := range st.odd {
		c.say(r.Name, "the statement %q says what it is not (%s)", st.Sid, odd)
	}
	wild := false
	for _, a := range st.Actions {
		if a == "*" || strings.HasSuffix(a, ":*") {
			c.say(r.Name, "the statement %q allows %s", st.Sid, a)
		}
		wild = wild || strings.Contains(a, "*")
	}
	about := template.Texts(st.Resource)
	if len(about) == 0 {
		c.say(r.Name, "the statement %q is about nothing", st.Sid)
	}
	for _, resource := range about {
		wild = wild || tooWide(resource)
	}
	return wild
}

// tooWide says whether an ARN names more than one thing's own parts: `*`, or a `*` before its last part.
func tooWide(arn string) bool {
	if !strings.Contains(arn, "*") {
		return false
	}
	for _, end := range []string{"/*", ":*", "/*:*"} {
		head, ok := strings.CutSuffix(arn, end)
		parts := strings.SplitN(head, ":", 6)
		// arn:partition:service:region:account:kind/name, or ${Resource.Arn}
		if ok && !strings.Contains(head, "*") && (strings.HasPrefix(head, "${") || len(parts) == 6 && strings.ContainsAny(parts[5], "/:")) {
			return false
		}
	}
	return true
}

// keyStatement: a key's policy is about the key itself, which it calls `*`.
func (c *checker) keyStatement(r *template.Resource, st statement) {
	if len(st.odd) > 0 || st.Effect != "Allow" {
		c.say(r.Name, "the statement %q is not a plain Allow", st.Sid)
	}
	if arn := template.Text(template.Object(st.Principal)["AWS"]); arn != "" {
		if arn != "arn:aws:iam::111122223333:root" || !slices.Equal(st.Actions, []string{"kms:*"}) {
			c.say(r.Name, "the statement %q gives %v to %s", st.Sid, st.Actions, arn)
		}
		return
	}
	if template.Text(st.Principal) == "*" || template.Object(st.Principal)["Service"] == nil || st.Condition == nil {
		c.say(r.Name, "the statement %q opens the key to %v without a condition", st.Sid, st.Principal)
	}
	for _, a := range st.Actions {
		if strings.Contains(a, "*") {
			c.say(r.Name, "the statement %q allows %s", st.Sid, a)
		}
	}
}

// resourceStatement: others than this account's services are let in by nothing.
func (c *checker) resourceStatement(r *template.Resource, st statement) {
	if st.Effect == "Deny" {
		return
	}
	p := template.Object(st.Principal)
	_, isRole := p["AWS"].(template.Reference)
	if template.Text(st.Principal) == "*" || p["AWS"] != nil && !isRole {
		c.say(r.Name, "the statement %q lets %v in", st.Sid, st.Principal)
	}
	if p["Service"] != nil && template.At(st.Condition, "StringEquals.aws:SourceAccount") == nil && template.At(st.Condition, "ArnEquals.aws:SourceArn") == nil {
		c.say(r.Name, "the statement %q lets a service in on behalf of any account", st.Sid)
	}
	for _, a := range st.Actions {
		if strings.Contains(a, "*") {
			c.say(r.Name, "the statement %q allows %s", st.Sid, a)
		}
	}
}

// checkGrants: the few things that only some may do, each with exactly those who may.
func checkGrants(c *checker, system string, stacks []*template.Stack) {
	got := map[string][]string{}
	for _, r := range of(stacks, "AWS::IAM::Role") {
		for _, grant := range c.grantsOf(r) {
			got[grant] = append(got[grant], r.Name)
		}
	}
	want := systems[system].grants
	for _, grant := range slices.Sorted(maps.Keys(got)) {
		slices.Sort(got[grant])
		if !slices.Equal(got[grant], want[grant]) {
			c.say("", "%s: %v may, the tables say %v", grant, got[grant], want[grant])
		}
	}
	for _, grant := range slices.Sorted(maps.Keys(want)) {
		if got[grant] == nil {
			c.say("", "%s: nobody may, the tables say %v", grant, want[grant])
		}
	}
	c.ownRoles(stacks)
}

// grantsOf are what a role may do that the tables name.
func (c *checker) grantsOf(r *template.Resource) []string {
	var grants []string
	for _, p := range r.List("Policies") {
		for _, st := range statements(template.Object(p)["PolicyDocument"]) {
			for _, a := range st.Actions {
				if !guarded(a) {
					continue
				}
				for _, resource := range template.Texts(st.Resource) {
					grants = append(grants, a+" on "+c.anyEnvironment(resource))
				}
			}
		}
	}
	return grants
}

// anyEnvironment takes the environment out of a name.
func (c *checker) anyEnvironment(name string) string {
	return strings.NewReplacer("/"+c.world.Env+"/", "/{env}/", "-"+c.world.Env+"-", "-{env}-").Replace(name)
}

// guarded are the actions whose every grant stands in the tables: everything but starting (images, logs, the agent's own).
func guarded(action string) bool {
	for _, ordinary := range []string{"ecr:", "logs:", "ssm:", "ssmmessages:", "ec2messages:"} {
		if strings.HasPrefix(action, ordinary) {
			return false
		}
	}
	return true
}

// ownRoles: a role a task; what two task definitions share, the tables name.
func (c *checker) ownRoles(stacks []*template.Stack) {
	for _, kind := range []string{"TaskRoleArn", "ExecutionRoleArn"} {
		users := map[string]map[string]bool{}
		for _, task := range of(stacks, "AWS::ECS::TaskDefinition") {
			role := task.Ref(kind).Resource
			if role == "" {
				c.say(task.Name, "%s is not one of the stack's roles", kind)
				continue
			}
			if users[role] == nil {
				users[role] = map[string]bool{}
			}
			users[role][half(task.Name)] = true
		}
		for role, by := range users {
			if names := fmt.Sprint(slices.Sorted(maps.Keys(by))); len(by) > 1 && !slices.Contains(sharedRoles, role+" "+names) {
				c.say(role, "it is the role of %s", names)
			}
		}
	}
}

// half is a task's name without its colour.
func half(name string) string {
	name = strings.TrimSuffix(name, "Task")
	return strings.TrimSuffix(strings.TrimSuffix(name, "Blue"), "Green")
}
