package fakeaws

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// stepsAPoll is how many steps an operation takes each time somebody asks for its events, unless a test says otherwise.
const stepsAPoll = 12

func (f *Fake) tell(s *stack, logical, physical, kind, status, reason string) {
	f.ids++
	s.events = append(s.events, event{
		id: fmt.Sprintf("%s-%06d", logical, f.ids), logical: logical, physical: physical, kind: kind, status: status, reason: reason, at: f.now(),
	})
}

func (f *Fake) turn(s *stack, status, reason string) {
	s.status, s.reason = status, reason
	f.tell(s, s.name, s.id, "AWS::CloudFormation::Stack", status, reason)
}

// advance carries the operation under way on.
func (f *Fake) advance(s *stack) {
	for range cmp.Or(f.Steps, stepsAPoll) {
		if len(s.pending) == 0 {
			return
		}
		step := s.pending[0]
		s.pending = s.pending[1:]
		step()
	}
}

// failure is asked for by a test: the next time that this resource is touched it fails.
func (f *Fake) failure(s *stack, logical string) string {
	key := s.name + "/" + logical
	reason := f.failures[key]
	delete(f.failures, key)
	return reason
}

// execute begins to carry a change set out.
func (f *Fake) execute(s *stack, set *changeSet) {
	d := set.draft
	before := s.snapshot()
	verb := "UPDATE"
	if set.create {
		verb = "CREATE"
	}
	f.journal("%s %s", strings.ToLower(verb), s.name)
	s.t, s.parameters, s.tags = d.t, d.parameters, d.tags
	s.updated = f.now()
	f.turn(s, verb+"_IN_PROGRESS", "User Initiated")
	sc := &scope{t: d.t, stack: s, conditions: map[string]bool{}, resource: func(name string) *resource { return s.resources[name] }}
	if err := sc.bind(d.parameters); err != nil {
		panic(err) // it was bound before
	}
	changed := map[string]change{}
	for _, c := range d.changes {
		changed[c.logical] = c
	}
	var done []string
	for _, name := range d.order {
		c, is := changed[name]
		if !is {
			continue
		}
		s.pending = append(s.pending, func() {
			f.tell(s, name, c.physical, c.kind, verbOf(c)+"_IN_PROGRESS", "")
			if reason := f.failure(s, name); reason != "" {
				f.tell(s, name, "", c.kind, verbOf(c)+"_FAILED", reason)
				f.rollBack(s, set, before, done, name)
				return
			}
			r, err := f.make(sc, s, name, c)
			if err != nil {
				f.tell(s, name, "", c.kind, verbOf(c)+"_FAILED", err.Error())
				f.rollBack(s, set, before, done, name)
				return
			}
			done = append(done, name)
			f.tell(s, name, fmt.Sprint(r.ref()), c.kind, verbOf(c)+"_COMPLETE", "")
		})
	}
	s.pending = append(s.pending, func() { f.finish(s, sc, d, verb) })
}

func verbOf(c change) string {
	switch c.action {
	case "Add":
		return "CREATE"
	case "Remove":
		return "DELETE"
	default:
		return "UPDATE"
	}
}

// make brings a resource into being, or to its new properties.
func (f *Fake) make(sc *scope, s *stack, name string, c change) (*resource, error) {
	declared := s.t.Resources[name]
	value, err := sc.eval(declared.Properties)
	if err != nil {
		return nil, err
	}
	r := &resource{logical: name, kind: declared.Type, properties: object(value), deletionPolicy: declared.DeletionPolicy, stack: s, revision: 1}
	if old := s.resources[name]; old != nil {
		r.uid, r.revision = old.uid, old.revision+1
		replaced := c.replacement == "True"
		for key := range merge(old.properties, r.properties) {
			if c.replacement == "Conditional" && replaces(r.kind, key) && fmt.Sprint(old.properties[key]) != fmt.Sprint(r.properties[key]) {
				replaced = true
			}
		}
		if replaced {
			r.uid = fmt.Sprint(f.next())
		}
	} else {
		r.uid = fmt.Sprint(f.next())
	}
	s.resources[name] = r
	if r.kind == "AWS::ECS::Service" {
		f.service(r)
	}
	return r, nil
}

func (f *Fake) finish(s *stack, sc *scope, d *draft, verb string) {
	for _, name := range d.removed {
		r := s.resources[name]
		f.tell(s, name, fmt.Sprint(r.ref()), r.kind, "DELETE_COMPLETE", "")
		delete(s.resources, name)
	}
	for name := range s.resources {
		s.resources[name].deletionPolicy = d.t.Resources[name].DeletionPolicy
	}
	outputs, err := sc.outputs()
	if err != nil {
		f.turn(s, verb+"_FAILED", err.Error())
		return
	}
	s.outputs = outputs
	f.turn(s, verb+"_COMPLETE", "")
}

type snapshot struct {
	t                *tmpl
	parameters, tags map[string]string
	resources        map[string]*resource
}

func (s *stack) snapshot() snapshot {
	return snapshot{s.t, s.parameters, s.tags, maps.Clone(s.resources)}
}

// rollBack undoes what was done after a resource failed. CloudFormation cancels what it was doing beside it: those failures come
// after the first, and say nothing.
func (f *Fake) rollBack(s *stack, set *changeSet, before snapshot, done []string, failed string) {
	verb, rolling := "UPDATE", "UPDATE_ROLLBACK"
	if set.create {
		verb, rolling = "CREATE", "ROLLBACK"
	}
	s.pending = nil
	at := slices.Index(set.draft.order, failed)
	if at+1 < len(set.draft.order) {
		next := set.draft.order[at+1]
		f.tell(s, next, "", s.t.Resources[next].Type, verb+"_FAILED", "Resource "+map[bool]string{true: "creation", false: "update"}[set.create]+" cancelled")
	}
	f.turn(s, rolling+"_IN_PROGRESS", fmt.Sprintf("The following resource(s) failed to %s: [%s]. ", strings.ToLower(verb), failed))
	for _, name := range slices.Backward(done) {
		r := s.resources[name]
		s.pending = append(s.pending, func() {
			status := "UPDATE_COMPLETE"
			if before.resources[name] == nil {
				status = "DELETE_COMPLETE"
			}
			f.tell(s, name, fmt.Sprint(r.ref()), r.kind, status, "")
		})
	}
	s.pending = append(s.pending, func() {
		s.t, s.parameters, s.tags, s.resources = before.t, before.parameters, before.tags, before.resources
		f.turn(s, rolling+"_COMPLETE", "")
	})
}

// remove begins to delete a stack.
func (f *Fake) remove(s *stack) {
	f.journal("delete %s", s.name)
	f.turn(s, "DELETE_IN_PROGRESS", "User Initiated")
	order := slices.Sorted(maps.Keys(s.resources))
	if s.t != nil {
		active := map[string]bool{}
		for name := range s.resources {
			active[name] = true
		}
		if sorted, err := s.t.order(active); err == nil {
			order = sorted
		}
	}
	var failed []string
	for _, name := range slices.Backward(order) {
		r := s.resources[name]
		s.pending = append(s.pending, func() {
			f.tell(s, name, fmt.Sprint(r.ref()), r.kind, "DELETE_IN_PROGRESS", "")
			if reason := firstText(f.failure(s, name), protection(r)); reason != "" {
				failed = append(failed, name)
				f.tell(s, name, fmt.Sprint(r.ref()), r.kind, "DELETE_FAILED", reason)
				return
			}
			if r.deletionPolicy == "Retain" {
				f.tell(s, name, fmt.Sprint(r.ref()), r.kind, "DELETE_SKIPPED", "")
				f.Retained = append(f.Retained, s.name+"/"+name)
			} else {
				f.tell(s, name, fmt.Sprint(r.ref()), r.kind, "DELETE_COMPLETE", "")
			}
			delete(s.resources, name)
		})
	}
	s.pending = append(s.pending, func() {
		if len(failed) > 0 {
			f.turn(s, "DELETE_FAILED", fmt.Sprintf("The following resource(s) failed to delete: [%s]. ", strings.Join(failed, ", ")))
			return
		}
		f.turn(s, "DELETE_COMPLETE", "")
	})
}

// protection is why AWS refuses to delete a resource.
func protection(r *resource) string {
	if r.kind == "AWS::RDS::DBInstance" && r.properties["DeletionProtection"] == "true" {
		return "Cannot delete protected DB Instance, please disable deletion protection and try again."
	}
	if r.kind == "AWS::ElasticLoadBalancingV2::LoadBalancer" {
		for _, a := range list(r.properties["LoadBalancerAttributes"]) {
			if m := object(a); m["Key"] == "deletion_protection.enabled" && m["Value"] == "true" {
				return "Load balancer cannot be deleted because deletion protection is enabled"
			}
		}
	}
	return ""
}
