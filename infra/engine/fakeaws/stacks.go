package fakeaws

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// The limits of CloudFormation that the engine must know.
const (
	maxBody      = 51_200    // a template that travels with the request, bytes
	maxObject    = 1_048_576 // a template in S3, bytes
	maxResources = 500
	eventsPage   = 25
	changesPage  = 50
)

// stack is a stack with its resources, outputs and events.
type stack struct {
	name, id, region, account string
	status, reason            string
	t                         *tmpl
	parameters                map[string]string
	tags                      map[string]string
	resources                 map[string]*resource
	outputs                   map[string]string
	created, updated          time.Time
	protected                 bool
	events                    []event  // oldest first
	pending                   []func() // what is left of the operation under way
}

type event struct {
	id, logical, physical, kind, status, reason string
	at                                          time.Time
}

// change is what a change set says of a resource.
type change struct {
	action, logical, kind, replacement, physical string
	properties                                   []string
	dynamic                                      bool // only because of what else changes
}

type changeSet struct {
	id, name, stack string
	create          bool
	status, reason  string
	executable      bool
	draft           *draft
}

// draft is a template worked out against a stack.
type draft struct {
	t          *tmpl
	parameters map[string]string // as given
	tags       map[string]string
	order      []string
	changes    []change
	bound      map[string]string // with the defaults
	outputs    bool              // the outputs differ
	removed    []string
}

func (s *stack) active() bool {
	return s.status != "REVIEW_IN_PROGRESS" && s.status != "DELETE_COMPLETE"
}

// workOut finds what a template would change in a stack. Nothing is changed yet.
func (f *Fake) workOut(s *stack, t *tmpl, given map[string]string, capable bool) (*draft, error) {
	d := &draft{t: t, parameters: given}
	born := map[string]*resource{} // resources as they would be
	sc := &scope{t: t, stack: s, conditions: map[string]bool{}, resource: func(name string) *resource { return born[name] }}
	if err := check(t, capable); err != nil {
		return nil, err
	}
	if err := sc.bind(given); err != nil {
		return nil, err
	}
	d.bound = written(sc.parameters)
	if err := sc.rules(); err != nil {
		return nil, err
	}
	active, err := sc.activeResources()
	if err != nil {
		return nil, err
	}
	if d.order, err = t.order(active); err != nil {
		return nil, &fault{err.Error()}
	}
	for _, name := range d.order {
		if err := d.resource(sc, s, name, born); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.resources)) {
		if !active[name] {
			d.removed = append(d.removed, name)
			r := s.resources[name]
			d.changes = append(d.changes, change{action: "Remove", logical: name, kind: r.kind, physical: fmt.Sprint(r.ref())})
		}
	}
	outputs, err := sc.outputs()
	if err != nil {
		return nil, err
	}
	d.outputs = !maps.Equal(outputs, s.outputs)
	return d, nil
}

// resource works out one resource and notes what of it changes.
func (d *draft) resource(sc *scope, s *stack, name string, born map[string]*resource) error {
	declared := d.t.Resources[name]
	value, err := sc.eval(declared.Properties)
	if err != nil {
		return err
	}
	wanted := &resource{logical: name, kind: declared.Type, properties: object(value), deletionPolicy: declared.DeletionPolicy, stack: s}
	born[name] = wanted
	old := s.resources[name]
	if old == nil {
		wanted.unborn = true
		d.changes = append(d.changes, change{action: "Add", logical: name, kind: wanted.kind})
		return nil
	}
	if old.kind != wanted.kind {
		return faultf("Update of resource type is not permitted. The new template modifies resource type of the following resources: [%s]", name)
	}
	wanted.uid, wanted.revision = old.uid, old.revision
	c := change{action: "Modify", logical: name, kind: wanted.kind, replacement: "False", physical: fmt.Sprint(old.ref()), dynamic: true}
	for _, key := range slices.Sorted(maps.Keys(merge(old.properties, wanted.properties))) {
		if reflect.DeepEqual(old.properties[key], wanted.properties[key]) {
			continue
		}
		c.properties = append(c.properties, key)
		static := !strings.Contains(fmt.Sprint(wanted.properties[key]), "{new ")
		c.dynamic = c.dynamic && !static
		if replaces(wanted.kind, key) {
			if static || c.replacement == "True" {
				c.replacement = "True"
			} else {
				c.replacement = "Conditional"
			}
		}
	}
	if len(c.properties) == 0 {
		return nil
	}
	wanted.unborn = c.replacement != "False"
	if !wanted.unborn {
		wanted.revision++ // what counts changes, such as a launch template's newest version, is another for those who read it
	}
	d.changes = append(d.changes, c)
	return nil
}

func merge(a, b map[string]any) map[string]any {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, b)
	return all
}

func replaces(kind, property string) bool {
	return slices.Contains(kinds[kind].replace, property) || slices.Contains(kinds[kind].replace, "*")
}

// activeResources are those whose condition holds.
func (s *scope) activeResources() (map[string]bool, error) {
	active := map[string]bool{}
	for name, r := range s.t.Resources {
		if r.Condition == "" {
			active[name] = true
			continue
		}
		holds, err := s.condition(r.Condition)
		if err != nil {
			return nil, err
		}
		if holds {
			active[name] = true
		}
	}
	return active, nil
}

// outputs works the outputs out.
func (s *scope) outputs() (map[string]string, error) {
	out := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(s.t.Outputs)) {
		o := s.t.Outputs[name]
		if o.Condition != "" {
			holds, err := s.condition(o.Condition)
			if err != nil {
				return nil, err
			}
			if !holds {
				continue
			}
		}
		value, err := s.eval(o.Value)
		if err != nil {
			return nil, err
		}
		written, ok := value.(string)
		if !ok {
			return nil, faultf("Template format error: The Value field of every Outputs member must evaluate to a String (%s)", name)
		}
		out[name] = written
	}
	return out, nil
}

// check is what CloudFormation sees without parameters: types, attributes, references, capabilities.
func check(t *tmpl, capable bool) error {
	if len(t.Resources) > maxResources {
		return faultf("Template format error: Number of resources, %d, is greater than maximum allowed, %d", len(t.Resources), maxResources)
	}
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(t.Resources)) {
		kind := t.Resources[name].Type
		if _, known := kinds[kind]; !known {
			unknown = append(unknown, kind)
		}
		if strings.HasPrefix(kind, "AWS::IAM::") && !capable {
			return faultf("Requires capabilities : [CAPABILITY_NAMED_IAM]")
		}
	}
	if len(unknown) > 0 {
		return faultf("Template format error: Unrecognized resource types: [%s]", strings.Join(unknown, ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(t.Resources)) {
		if err := checkAttributes(t, t.Resources[name].Properties); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Outputs)) {
		if err := checkAttributes(t, t.Outputs[name].Value); err != nil {
			return err
		}
	}
	return nil
}

// checkAttributes looks at every GetAtt, also at those behind a condition that does not hold.
func checkAttributes(t *tmpl, v any) error {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			if err := errors.Join(checkCall(t, key, inner), checkAttributes(t, inner)); err != nil {
				return err
			}
		}
	case []any:
		for _, inner := range v {
			if err := checkAttributes(t, inner); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkCall looks at one GetAtt, or at those in a Sub's text.
func checkCall(t *tmpl, function string, argument any) error {
	if function == "Fn::GetAtt" {
		args := list(argument)
		if len(args) != 2 {
			return faultf("Template error: every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource attribute")
		}
		return checkAttribute(t, fmt.Sprint(args[0]), args[1])
	}
	source, isText := argument.(string)
	if !isText || function != "Fn::Sub" {
		return nil
	}
	for _, match := range subName.FindAllStringSubmatch(source, -1) {
		name, attribute, is := strings.Cut(match[1], ".")
		if !is {
			continue
		}
		if err := checkAttribute(t, name, attribute); err != nil {
			return err
		}
	}
	return nil
}

func checkAttribute(t *tmpl, name string, attribute any) error {
	r, is := t.Resources[name]
	if !is {
		return faultf("Template error: instance of Fn::GetAtt references undefined resource %s", name)
	}
	written, isText := attribute.(string)
	if !isText {
		return nil // worked out later
	}
	if _, known := kinds[r.Type].attributes[written]; !known {
		return faultf("Template error: resource %s does not support attribute type %s in Fn::GetAtt", name, written)
	}
	return nil
}
