package fakeaws

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func (f *Fake) queryStacks(action string, form url.Values) ([]node, error) {
	switch action {
	case "DescribeStacks":
		return f.describeStacks(form.Get("StackName"))
	case "CreateChangeSet":
		return f.createChangeSet(form)
	case "DescribeChangeSet":
		return f.describeChangeSet(form)
	case "ExecuteChangeSet":
		return f.executeChangeSet(form.Get("ChangeSetName"))
	case "DeleteChangeSet":
		delete(f.sets, form.Get("ChangeSetName"))
		return nil, nil
	case "DescribeStackEvents":
		return f.describeEvents(form)
	case "DeleteStack":
		return nil, f.deleteStack(form.Get("StackName"))
	}
	s := f.find(form.Get("StackName"))
	if s == nil && form.Has("StackName") {
		return nil, refuse("ValidationError", "Stack with id %s does not exist", form.Get("StackName"))
	}
	switch action {
	case "UpdateTerminationProtection":
		s.protected = form.Get("EnableTerminationProtection") == "true"
		return []node{leaf("StackId", s.id)}, nil
	case "GetTemplate":
		return []node{leaf("TemplateBody", s.t.text)}, nil
	case "DetectStackDrift":
		return []node{leaf("StackDriftDetectionId", "drift-"+s.name)}, nil
	case "DescribeStackDriftDetectionStatus":
		name := strings.TrimPrefix(form.Get("StackDriftDetectionId"), "drift-")
		return []node{
			leaf("StackDriftDetectionId", form.Get("StackDriftDetectionId")), leaf("DetectionStatus", "DETECTION_COMPLETE"),
			leaf("StackId", f.find(name).id), leaf("Timestamp", stamp(f.now())),
		}, nil
	case "DescribeStackResourceDrifts":
		return []node{branch("StackResourceDrifts", f.drifts(s)...)}, nil
	}
	return nil, refuse("InvalidAction", "fakeaws does not play cloudformation:%s", action)
}

func (f *Fake) describeStacks(name string) ([]node, error) {
	s := f.find(name)
	if s == nil {
		return nil, refuse("ValidationError", "Stack with id %s does not exist", name)
	}
	d := branch("member",
		leaf("StackName", s.name), leaf("StackId", s.id), leaf("StackStatus", s.status), leaf("CreationTime", stamp(s.created)),
		leaf("EnableTerminationProtection", s.protected))
	if s.reason != "" {
		d.children = append(d.children, leaf("StackStatusReason", s.reason))
	}
	if !s.updated.IsZero() {
		d.children = append(d.children, leaf("LastUpdatedTime", stamp(s.updated)))
	}
	var parameters, outputs, tags []node
	if s.t != nil {
		sc := &scope{t: s.t}
		if err := sc.bind(s.parameters); err == nil {
			shown := written(sc.parameters)
			for _, k := range slices.Sorted(maps.Keys(shown)) {
				value := shown[k]
				if s.t.Parameters[k].NoEcho {
					value = "****"
				}
				parameters = append(parameters, branch("member", leaf("ParameterKey", k), leaf("ParameterValue", value)))
			}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(s.outputs)) {
		outputs = append(outputs, branch("member", leaf("OutputKey", k), leaf("OutputValue", s.outputs[k])))
	}
	for _, k := range slices.Sorted(maps.Keys(s.tags)) {
		tags = append(tags, branch("member", leaf("Key", k), leaf("Value", s.tags[k])))
	}
	d.children = append(d.children, branch("Parameters", parameters...), branch("Outputs", outputs...), branch("Tags", tags...))
	return []node{branch("Stacks", d)}, nil
}

// templateOf reads the template of a request and keeps the size limits.
func (f *Fake) templateOf(form url.Values, s *stack) (*tmpl, error) {
	if form.Get("UsePreviousTemplate") == "true" && s != nil && s.t != nil {
		return s.t, nil
	}
	body := form.Get("TemplateBody")
	if len(body) > maxBody {
		return nil, refuse("ValidationError", "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length less than or equal to %d", maxBody)
	}
	if address := form.Get("TemplateURL"); address != "" {
		object, err := f.fetch(address)
		if err != nil {
			return nil, err
		}
		if len(object) > maxObject {
			return nil, refuse("ValidationError", "Template may not exceed %d bytes in size.", maxObject)
		}
		body = string(object)
	}
	t, err := parse(body)
	if err != nil {
		return nil, refuse("ValidationError", "%s", err.Error())
	}
	return t, nil
}

func (f *Fake) createChangeSet(form url.Values) ([]node, error) {
	name := form.Get("StackName")
	create := form.Get("ChangeSetType") == "CREATE"
	s := f.find(name)
	switch {
	case create && s != nil && s.active():
		return nil, refuse("ValidationError", "Stack [%s] already exists and cannot be created again with the changeSet [%s].", name, form.Get("ChangeSetName"))
	case !create && (s == nil || !s.active()):
		return nil, refuse("ValidationError", "Stack [%s] does not exist", name)
	case !create && (strings.HasSuffix(s.status, "_IN_PROGRESS") || strings.HasSuffix(s.status, "_FAILED") || s.status == "ROLLBACK_COMPLETE"):
		return nil, refuse("ValidationError", "Stack:%s is in %s state and can not be updated.", s.id, s.status)
	}
	t, err := f.templateOf(form, s)
	if err != nil {
		return nil, err
	}
	capable := slices.Contains(members(form, "Capabilities"), "CAPABILITY_NAMED_IAM")
	if s == nil {
		s = &stack{
			name: name, id: fmt.Sprintf("arn:aws:cloudformation:%s:%s:stack/%s/%08d", f.Region, f.Account, name, f.next()),
			region: f.Region, account: f.Account, status: "REVIEW_IN_PROGRESS", resources: map[string]*resource{}, outputs: map[string]string{}, created: f.now(),
		}
	}
	// What AWS sees at once is refused at once; the rest would fail the change set. Both end the same for the one who asked.
	given := pairs(form, "Parameters", "ParameterKey", "ParameterValue")
	for name, keep := range pairs(form, "Parameters", "ParameterKey", "UsePreviousValue") {
		if keep == "true" {
			given[name] = s.parameters[name]
		}
	}
	d, err := f.workOut(s, t, given, capable)
	if err != nil {
		return nil, refuse("ValidationError", "%s", err.Error())
	}
	d.tags = pairs(form, "Tags", "Key", "Value")
	// What a parameter has by default it keeps, also when the default changes and its previous value is asked for.
	d.parameters = d.bound
	set := &changeSet{
		id:   fmt.Sprintf("arn:aws:cloudformation:%s:%s:changeSet/%s/%08d", f.Region, f.Account, form.Get("ChangeSetName"), f.next()),
		name: form.Get("ChangeSetName"), stack: s.id, create: create, status: "CREATE_COMPLETE", executable: true, draft: d,
	}
	if !create && len(d.changes) == 0 && !d.outputs && maps.Equal(d.tags, s.tags) {
		set.status, set.executable = "FAILED", false
		set.reason = "The submitted information didn't contain changes. Submit different information to create a change set."
	}
	if f.find(s.id) == nil {
		f.stacks = append(f.stacks, s)
	}
	f.sets[set.id] = set
	return []node{leaf("Id", set.id), leaf("StackId", s.id)}, nil
}

func (f *Fake) describeChangeSet(form url.Values) ([]node, error) {
	set := f.sets[form.Get("ChangeSetName")]
	if set == nil {
		return nil, refuse("ChangeSetNotFound", "ChangeSet [%s] does not exist", form.Get("ChangeSetName"))
	}
	from, _ := strconv.Atoi(form.Get("NextToken")) // the first page has none
	to := min(from+changesPage, len(set.draft.changes))
	var changes []node
	for _, c := range set.draft.changes[from:to] {
		r := branch("ResourceChange", leaf("Action", c.action), leaf("LogicalResourceId", c.logical), leaf("ResourceType", c.kind))
		if c.physical != "" {
			r.children = append(r.children, leaf("PhysicalResourceId", c.physical))
		}
		if c.action == "Modify" {
			r.children = append(r.children, leaf("Replacement", c.replacement))
		}
		var details []node
		for _, p := range c.properties {
			details = append(details, branch("member", branch("Target", leaf("Attribute", "Properties"), leaf("Name", p))))
		}
		r.children = append(r.children, branch("Details", details...))
		changes = append(changes, branch("member", leaf("Type", "Resource"), r))
	}
	out := []node{leaf("ChangeSetId", set.id), leaf("ChangeSetName", set.name), leaf("StackId", set.stack), leaf("Status", set.status), branch("Changes", changes...)}
	if set.reason != "" {
		out = append(out, leaf("StatusReason", set.reason))
	}
	if to < len(set.draft.changes) {
		out = append(out, leaf("NextToken", to))
	}
	return out, nil
}

func (f *Fake) executeChangeSet(id string) ([]node, error) {
	set := f.sets[id]
	if set == nil {
		return nil, refuse("ChangeSetNotFound", "ChangeSet [%s] does not exist", id)
	}
	if !set.executable {
		return nil, refuse("InvalidChangeSetStatus", "ChangeSet [%s] cannot be executed in its current status of [%s]", id, set.status)
	}
	s := f.find(set.stack)
	// Another change has come between: what the set was worked out from is gone, and AWS drops it too.
	for other, of := range f.sets {
		if of.stack == set.stack {
			delete(f.sets, other)
		}
	}
	f.execute(s, set)
	return nil, nil
}

func (f *Fake) describeEvents(form url.Values) ([]node, error) {
	s := f.find(form.Get("StackName"))
	if s == nil {
		return nil, refuse("ValidationError", "Stack [%s] does not exist", form.Get("StackName"))
	}
	from, _ := strconv.Atoi(form.Get("NextToken")) // the first page has none
	if from == 0 {
		f.advance(s)
	}
	events := slices.Clone(s.events)
	slices.Reverse(events)
	to := min(from+eventsPage, len(events))
	var out []node
	for _, e := range events[min(from, to):to] {
		n := branch("member", leaf("EventId", e.id), leaf("StackId", s.id), leaf("StackName", s.name), leaf("LogicalResourceId", e.logical),
			leaf("PhysicalResourceId", e.physical), leaf("ResourceType", e.kind), leaf("ResourceStatus", e.status), leaf("Timestamp", stamp(e.at)))
		if e.reason != "" {
			n.children = append(n.children, leaf("ResourceStatusReason", e.reason))
		}
		out = append(out, n)
	}
	result := []node{branch("StackEvents", out...)}
	if to < len(events) {
		result = append(result, leaf("NextToken", to))
	}
	return result, nil
}

func (f *Fake) deleteStack(name string) error {
	s := f.find(name)
	if s == nil || s.status == "DELETE_COMPLETE" {
		return nil // AWS says nothing of a stack that is not there
	}
	if s.protected {
		return refuse("ValidationError", "Stack [%s] cannot be deleted while TerminationProtection is enabled", s.name)
	}
	if s.status == "REVIEW_IN_PROGRESS" {
		s.status = "DELETE_COMPLETE"
		return nil
	}
	f.remove(s)
	return nil
}

func (f *Fake) drifts(s *stack) []node {
	var out []node
	for _, name := range slices.Sorted(maps.Keys(s.resources)) {
		r := s.resources[name]
		var differences []node
		for _, property := range slices.Sorted(maps.Keys(r.outside)) {
			if reflect.DeepEqual(r.outside[property], r.properties[property]) {
				continue
			}
			expected, _ := json.Marshal(r.properties[property]) // plain values always marshal
			actual, _ := json.Marshal(r.outside[property])
			differences = append(differences, branch("member", leaf("PropertyPath", "/"+property), leaf("ExpectedValue", string(expected)),
				leaf("ActualValue", string(actual)), leaf("DifferenceType", "NOT_EQUAL")))
		}
		if len(differences) > 0 {
			out = append(out, branch("member", leaf("StackId", s.id), leaf("LogicalResourceId", name), leaf("ResourceType", r.kind),
				leaf("StackResourceDriftStatus", "MODIFIED"), leaf("Timestamp", stamp(f.now())), branch("PropertyDifferences", differences...)))
		}
	}
	return out
}
