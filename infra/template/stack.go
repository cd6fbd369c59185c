package template

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Reference is what a value comes to when it is known only to AWS: a resource, or an attribute of one.
type Reference struct {
	Stack     string // of the resource; as given to Evaluate
	Resource  string
	Attribute string // empty: the resource itself (Ref)
}

// String writes a reference as Fn::Sub does, so that texts that hold one can be read.
func (r Reference) String() string {
	if r.Attribute == "" {
		return "${" + r.Resource + "}"
	}
	return "${" + r.Resource + "." + r.Attribute + "}"
}

// Stack is a template with its parameters filled in: resources whose condition does not hold are gone, and of every value only
// references to resources are left.
type Stack struct {
	Name       string
	Template   *Template
	Parameters map[string]any
	Conditions map[string]bool
	Resources  map[string]*Resource
	Outputs    map[string]any

	busy map[string]bool // conditions being evaluated
}

// What the pseudo parameters are, wherever a template is looked at.
var pseudo = map[string]any{
	"AWS::Region": "ap-northeast-1", "AWS::AccountId": "111122223333", "AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com",
	"AWS::StackName": "stack", "AWS::StackId": "arn:aws:cloudformation:ap-northeast-1:111122223333:stack/stack/id", "AWS::NoValue": noValue{},
}

type noValue struct{}

// Evaluate fills in parameters, each a string, a list of strings or a Reference. The error names every parameter that is missing,
// not declared or not allowed, every assertion of Rules that does not hold, and every function that cannot be evaluated.
func (t *Template) Evaluate(name string, given map[string]any) (*Stack, error) {
	s := &Stack{Name: name, Template: t, Parameters: map[string]any{}, Conditions: map[string]bool{}, Resources: map[string]*Resource{}, Outputs: map[string]any{}, busy: map[string]bool{}}
	if err := s.parameters(given); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var wrong []error
	for _, c := range slices.Sorted(maps.Keys(t.Conditions)) {
		_, err := s.condition(c)
		wrong = append(wrong, err)
	}
	wrong = append(wrong, s.rules())
	for _, n := range t.order {
		r := *t.Resources[n]
		if r.Condition != "" && !s.Conditions[r.Condition] {
			continue
		}
		v, err := s.value(r.Properties)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", n, err))
			continue
		}
		r.Properties = Object(v)
		s.Resources[n] = &r
	}
	for n, o := range t.Outputs {
		if o.Condition != "" && !s.Conditions[o.Condition] {
			continue
		}
		v, err := s.value(o.Value)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("the output %s: %w", n, err))
		}
		s.Outputs[n] = v
	}
	wrong = append(wrong, s.gone())
	if err := errors.Join(wrong...); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// gone finds references to resources that these parameters do not make.
func (s *Stack) gone() error {
	var wrong []error
	var walk func(where string, v any)
	walk = func(where string, v any) {
		switch v := v.(type) {
		case Reference:
			if v.Stack == s.Name && s.Resources[v.Resource] == nil {
				wrong = append(wrong, fmt.Errorf("%s refers to %s, which these parameters do not make", where, v.Resource))
			}
		case []any:
			for _, inner := range v {
				walk(where, inner)
			}
		case map[string]any:
			for _, inner := range v {
				walk(where, inner)
			}
		}
	}
	for n, r := range s.Resources {
		walk(n, r.Properties)
	}
	for n, o := range s.Outputs {
		walk("the output "+n, o)
	}
	return errors.Join(wrong...)
}

func (s *Stack) parameters(given map[string]any) error {
	var wrong []error
	for name := range given {
		if _, declared := s.Template.Parameters[name]; !declared {
			wrong = append(wrong, fmt.Errorf("the parameter %s is not declared", name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Template.Parameters)) {
		p := s.Template.Parameters[name]
		v, there := given[name]
		if !there {
			if p.Default == nil {
				wrong = append(wrong, fmt.Errorf("the parameter %s has no value", name))
				continue
			}
			v = *p.Default
		}
		if text, ok := v.(string); ok {
			if err := p.Allows(text); err != nil {
				wrong = append(wrong, fmt.Errorf("the parameter %s: %w", name, err))
			}
			if strings.HasPrefix(p.Type, "List<") || p.Type == "CommaDelimitedList" {
				v = split(text, ",")
			}
		}
		s.Parameters[name] = v
	}
	return errors.Join(wrong...)
}

func split(text, by string) []any {
	parts := strings.Split(text, by)
	list := make([]any, len(parts))
	for i, p := range parts {
		list[i] = p
	}
	return list
}

// Allows says whether a parameter may have a value.
func (p Parameter) Allows(text string) error {
	values := []string{text}
	if p.Type == "CommaDelimitedList" {
		values = strings.Split(text, ",")
	}
	for _, v := range values {
		if err := p.allowsOne(v); err != nil {
			return err
		}
	}
	return nil
}

func (p Parameter) allowsOne(v string) error {
	if len(p.AllowedValues) > 0 && !slices.Contains(p.AllowedValues, v) {
		return fmt.Errorf("%q is none of %s", v, strings.Join(p.AllowedValues, ", "))
	}
	if p.AllowedPattern != "" {
		re, err := regexp.Compile("^(?:" + p.AllowedPattern + ")$")
		if err != nil {
			return fmt.Errorf("its pattern: %w", err)
		}
		if !re.MatchString(v) {
			return fmt.Errorf("%q does not match %s", v, p.AllowedPattern)
		}
	}
	if p.Type != "Number" {
		return nil
	}
	n, err := strconv.ParseFloat(v, 64)
	if err != nil {
		return fmt.Errorf("%q is not a number", v)
	}
	if low, err := strconv.ParseFloat(p.MinValue, 64); err == nil && n < low {
		return fmt.Errorf("%s is below %s", v, p.MinValue)
	}
	if high, err := strconv.ParseFloat(p.MaxValue, 64); err == nil && n > high {
		return fmt.Errorf("%s is above %s", v, p.MaxValue)
	}
	return nil
}

func (s *Stack) rules() error {
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(s.Template.Rules)) {
		rule := Object(s.Template.Rules[name])
		if when, there := rule["RuleCondition"]; there {
			holds, err := s.truth(when)
			if err != nil || !holds {
				wrong = append(wrong, err)
				continue
			}
		}
		for _, a := range List(rule["Assertions"]) {
			holds, err := s.truth(Object(a)["Assert"])
			if err != nil {
				wrong = append(wrong, fmt.Errorf("the rule %s: %w", name, err))
			} else if !holds {
				wrong = append(wrong, fmt.Errorf("the rule %s: %s", name, str(Object(a)["AssertDescription"])))
			}
		}
	}
	return errors.Join(wrong...)
}

func (s *Stack) condition(name string) (bool, error) {
	if v, known := s.Conditions[name]; known {
		return v, nil
	}
	body, there := s.Template.Conditions[name]
	if !there || s.busy[name] {
		return false, fmt.Errorf("the condition %s is not there, or needs itself", name)
	}
	s.busy[name] = true
	v, err := s.truth(body)
	if err != nil {
		return false, fmt.Errorf("the condition %s: %w", name, err)
	}
	s.Conditions[name] = v
	return v, nil
}

func (s *Stack) truth(v any) (bool, error) {
	m := Object(v)
	if len(m) != 1 {
		return false, errors.New("a condition is one function")
	}
	for fn, arg := range m {
		switch fn {
		case "Condition":
			return s.condition(str(arg))
		case "Fn::Equals":
			both, err := s.value(arg)
			if err != nil || len(List(both)) != 2 {
				return false, fmt.Errorf("Fn::Equals takes two values: %w", err)
			}
			l := List(both)
			return fmt.Sprint(l[0]) == fmt.Sprint(l[1]), nil
		case "Fn::Not", "Fn::And", "Fn::Or":
			return s.combine(fn, List(arg))
		default:
			return false, fmt.Errorf("%s is no condition", fn)
		}
	}
	return false, nil
}

func (s *Stack) combine(fn string, args []any) (bool, error) {
	all, one := true, false
	for _, a := range args {
		v, err := s.truth(a)
		if err != nil {
			return false, err
		}
		all, one = all && v, one || v
	}
	switch fn {
	case "Fn::Not":
		return !all, nil
	case "Fn::And":
		return all, nil
	default:
		return one, nil
	}
}

// value evaluates what is written in a template.
func (s *Stack) value(v any) (any, error) {
	switch v := v.(type) {
	case []any:
		list := make([]any, 0, len(v))
		for _, inner := range v {
			e, err := s.value(inner)
			if err != nil {
				return nil, err
			}
			if _, none := e.(noValue); !none {
				list = append(list, e)
			}
		}
		return list, nil
	case map[string]any:
		if len(v) == 1 {
			for fn, arg := range v {
				if fn == "Ref" || strings.HasPrefix(fn, "Fn::") {
					return s.function(fn, arg)
				}
			}
		}
		return s.mapping(v)
	default:
		return v, nil
	}
}

func (s *Stack) mapping(v map[string]any) (any, error) {
	m := make(map[string]any, len(v))
	for key, inner := range v {
		e, err := s.value(inner)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if _, none := e.(noValue); !none {
			m[key] = e
		}
	}
	return m, nil
}

func (s *Stack) function(fn string, arg any) (any, error) {
	switch fn {
	case "Ref":
		return s.ref(str(arg))
	case "Fn::GetAtt":
		l := List(arg)
		return Reference{Stack: s.Name, Resource: str(l[0]), Attribute: str(l[1])}, nil
	case "Fn::If":
		l := List(arg)
		if len(l) != 3 {
			return nil, errors.New("Fn::If takes three values")
		}
		holds, err := s.condition(str(l[0]))
		if err != nil {
			return nil, err
		}
		if holds {
			return s.value(l[1])
		}
		return s.value(l[2])
	case "Fn::Sub":
		return s.sub(arg)
	case "Fn::Base64":
		return s.value(arg)
	case "Fn::GetAZs":
		return []any{"zone 1", "zone 2", "zone 3"}, nil
	}
	args, err := s.value(arg)
	if err != nil {
		return nil, err
	}
	l := List(args)
	switch fn {
	case "Fn::Join":
		return join(l)
	case "Fn::Split":
		if len(l) != 2 {
			return nil, errors.New("Fn::Split takes two values")
		}
		if r, ok := l[1].(Reference); ok {
			return []any{r}, nil
		}
		return split(fmt.Sprint(l[1]), str(l[0])), nil
	case "Fn::Select":
		return choose(l)
	case "Fn::FindInMap":
		return s.findInMap(l)
	default:
		return nil, fmt.Errorf("%s is not known", fn)
	}
}

func (s *Stack) ref(name string) (any, error) {
	if v, ok := pseudo[name]; ok {
		return v, nil
	}
	if v, ok := s.Parameters[name]; ok {
		return v, nil
	}
	if s.Template.Resources[name] != nil {
		return Reference{Stack: s.Name, Resource: name}, nil
	}
	return nil, fmt.Errorf("%s is not there", name)
}

func join(l []any) (any, error) {
	if len(l) != 2 {
		return nil, errors.New("Fn::Join takes two values")
	}
	parts := List(l[1])
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = fmt.Sprint(p)
	}
	return strings.Join(texts, str(l[0])), nil
}

func choose(l []any) (any, error) {
	if len(l) == 2 {
		i, err := strconv.Atoi(fmt.Sprint(l[0]))
		if from := List(l[1]); err == nil && i >= 0 && i < len(from) {
			return from[i], nil
		}
	}
	return nil, errors.New("Fn::Select: there is no such element")
}

func (s *Stack) findInMap(l []any) (any, error) {
	if len(l) == 3 {
		if v, ok := Object(Object(s.Template.Mappings[fmt.Sprint(l[0])])[fmt.Sprint(l[1])])[fmt.Sprint(l[2])]; ok {
			return v, nil
		}
	}
	return nil, fmt.Errorf("Fn::FindInMap: %v is not there", l)
}

// sub fills a text in. One that is a single reference stays one.
func (s *Stack) sub(arg any) (any, error) {
	text, local := subParts(arg)
	values, err := s.value(any(local))
	if err != nil {
		return nil, err
	}
	var wrong error
	var only any
	filled := subName.ReplaceAllStringFunc(text, func(match string) string {
		name := match[2 : len(match)-1]
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			return "${" + literal + "}"
		}
		v, there := Object(values)[name]
		if !there {
			if resource, attribute, isAtt := strings.Cut(name, "."); isAtt {
				v = Reference{Stack: s.Name, Resource: resource, Attribute: attribute}
			} else if v, err = s.ref(name); err != nil {
				wrong = err
			}
		}
		if match == text {
			only = v
		}
		return fmt.Sprint(v)
	})
	if _, isRef := only.(Reference); isRef {
		return only, wrong
	}
	return filled, wrong
}
