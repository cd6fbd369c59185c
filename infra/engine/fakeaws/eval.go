package fakeaws

import (
	"encoding/base64"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/mpac-cloud/mpac/infra/template"
)

// scope is what a template's expressions are worked out in.
type scope struct {
	t          *tmpl
	stack      *stack
	parameters map[string]any // a string, or a list of strings
	conditions map[string]bool
	// resource gives the resource of a name; unknown ones are those that come into being with this very change.
	resource func(name string) *resource
}

// noValue is what AWS::NoValue stands for: the property is not there.
type noValue struct{}

// fault is something wrong with a template or its parameters: CloudFormation's ValidationError.
type fault struct{ message string }

func (f *fault) Error() string { return f.message }

func faultf(format string, args ...any) error { return &fault{fmt.Sprintf(format, args...)} }

// bind checks parameters against their declarations and keeps their values.
func (s *scope) bind(given map[string]string) error {
	s.parameters = map[string]any{}
	var unknown, missing []string
	for name := range given {
		if _, declared := s.t.Parameters[name]; !declared {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return faultf("Parameters: [%s] do not exist in the template", strings.Join(unknown, ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(s.t.Parameters)) {
		declared := s.t.Parameters[name]
		value, is := given[name]
		if !is {
			if declared.Default == nil {
				missing = append(missing, name)
				continue
			}
			value = *declared.Default
		}
		bound, err := bindOne(name, value, declared)
		if err != nil {
			return err
		}
		s.parameters[name] = bound
	}
	if len(missing) > 0 {
		return faultf("Parameters: [%s] must have values", strings.Join(missing, ", "))
	}
	return nil
}

var knownParameterTypes = regexp.MustCompile(`^(String|Number|CommaDelimitedList|List<(Number|String|AWS::[A-Za-z0-9:]+)>|AWS::[A-Za-z0-9:]+|AWS::SSM::Parameter::Value<[A-Za-z0-9:<>]+>)$`)

func bindOne(name, value string, declared template.Parameter) (any, error) {
	if !knownParameterTypes.MatchString(declared.Type) {
		return nil, faultf("Template format error: Unrecognized parameter type: %s", declared.Type)
	}
	isList := declared.Type == "CommaDelimitedList" || strings.HasPrefix(declared.Type, "List<")
	values := []string{value}
	if isList {
		values = strings.Split(value, ",")
	}
	one := declared
	if one.Type != "Number" {
		one.Type = "String"
	}
	items := make([]any, len(values))
	for i, v := range values {
		v = strings.TrimSpace(v)
		if err := one.Allows(v); err != nil {
			return nil, faultf("Parameter '%s' is not allowed: %v", name, err)
		}
		items[i] = v
	}
	if isList {
		return items, nil
	}
	return value, nil
}

func firstText(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// condition works out a named condition.
func (s *scope) condition(name string) (bool, error) {
	if known, done := s.conditions[name]; done {
		return known, nil
	}
	expression, declared := s.t.Conditions[name]
	if !declared {
		return false, faultf("Template validation error: Template error: Unresolved condition dependency %s", name)
	}
	holds, err := s.truth(expression)
	if err != nil {
		return false, err
	}
	s.conditions[name] = holds
	return holds, nil
}

// truth works out a condition's expression.
func (s *scope) truth(expression any) (bool, error) {
	m := object(expression)
	if len(m) != 1 {
		return false, faultf("Template error: every Condition member must be a function")
	}
	for function, argument := range m {
		switch function {
		case "Condition":
			name, _ := argument.(string)
			return s.condition(name)
		case "Fn::Not":
			args := list(argument)
			if len(args) != 1 {
				return false, faultf("Template error: Fn::Not requires a list argument with one element")
			}
			holds, err := s.truth(args[0])
			return !holds, err
		case "Fn::And", "Fn::Or":
			return s.combined(function, list(argument))
		case "Fn::Equals", "Fn::Contains":
			return s.compared(function, list(argument))
		}
		return false, faultf("Template error: %s is no condition", function)
	}
	return false, nil
}

// combined is Fn::And and Fn::Or: the first that decides does.
func (s *scope) combined(function string, args []any) (bool, error) {
	if len(args) < 2 || len(args) > 10 {
		return false, faultf("Template error: %s requires 2 to 10 elements", function)
	}
	for _, a := range args {
		holds, err := s.truth(a)
		if err != nil {
			return false, err
		}
		if holds == (function == "Fn::Or") {
			return holds, nil
		}
	}
	return function == "Fn::And", nil
}

func (s *scope) compared(function string, args []any) (bool, error) {
	if len(args) != 2 {
		return false, faultf("Template error: every %s object requires a list of 2 parameters.", function)
	}
	values, err := s.eval(args)
	if err != nil {
		return false, err
	}
	a, b := list(values)[0], list(values)[1]
	if function == "Fn::Contains" {
		return slices.Contains(list(a), b), nil
	}
	return fmt.Sprint(a) == fmt.Sprint(b), nil
}

// rules holds the parameters against the template's assertions.
func (s *scope) rules() error {
	for _, name := range slices.Sorted(maps.Keys(s.t.Rules)) {
		rule := object(s.t.Rules[name])
		if when, conditional := rule["RuleCondition"]; conditional {
			applies, err := s.truth(when)
			if err != nil {
				return err
			}
			if !applies {
				continue
			}
		}
		for _, a := range list(rule["Assertions"]) {
			holds, err := s.truth(object(a)["Assert"])
			if err != nil {
				return err
			}
			if !holds {
				return faultf("Template validation error: Rule %s failed: %s", name, text(object(a), "AssertDescription"))
			}
		}
	}
	return nil
}

// eval works out a value: maps, lists, strings, and noValue for what is not there.
func (s *scope) eval(v any) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		if function, argument, is := functionOf(v); is {
			return s.call(function, argument)
		}
		out := map[string]any{}
		for key, inner := range v {
			value, err := s.eval(inner)
			if err != nil {
				return nil, err
			}
			if _, none := value.(noValue); !none {
				out[key] = value
			}
		}
		return out, nil
	case []any:
		out := []any{}
		for _, inner := range v {
			value, err := s.eval(inner)
			if err != nil {
				return nil, err
			}
			if _, none := value.(noValue); !none {
				out = append(out, value)
			}
		}
		return out, nil
	default:
		return v, nil
	}
}

// functionOf tells whether a map is a function's call.
func functionOf(m map[string]any) (function string, argument any, is bool) {
	if len(m) != 1 {
		return "", nil, false
	}
	for function, argument = range m {
		is = function == "Ref" || strings.HasPrefix(function, "Fn::")
	}
	return function, argument, is
}

func (s *scope) call(function string, argument any) (any, error) {
	switch function {
	case "Ref":
		name, _ := argument.(string)
		return s.ref(name)
	case "Fn::GetAtt":
		return s.getAtt(argument)
	case "Fn::If":
		args := list(argument)
		if len(args) != 3 {
			return nil, faultf("Template error: Fn::If requires a list argument with three elements")
		}
		name, _ := args[0].(string)
		holds, err := s.condition(name)
		if err != nil {
			return nil, err
		}
		if holds {
			return s.eval(args[1])
		}
		return s.eval(args[2])
	case "Fn::Sub":
		return s.sub(argument)
	}
	value, err := s.eval(argument)
	if err != nil {
		return nil, err
	}
	args := list(value)
	switch function {
	case "Fn::Join":
		return join(args)
	case "Fn::Split":
		return split(args)
	case "Fn::Select":
		return choose(args)
	case "Fn::FindInMap":
		return s.findInMap(args)
	case "Fn::GetAZs":
		return []any{s.stack.region + "a", s.stack.region + "c", s.stack.region + "d"}, nil
	case "Fn::Base64":
		raw, ok := value.(string)
		if !ok {
			return nil, faultf("Template error: every Fn::Base64 object must have a String-typed value.")
		}
		return base64.StdEncoding.EncodeToString([]byte(raw)), nil
	case "Fn::ImportValue":
		return nil, faultf("No export named %v found.", value) // outputs pass as parameters
	}
	return nil, faultf("Template error: unknown function %s", function)
}

func (s *scope) ref(name string) (any, error) {
	switch name {
	case "AWS::Region":
		return s.stack.region, nil
	case "AWS::AccountId":
		return s.stack.account, nil
	case "AWS::Partition":
		return "aws", nil
	case "AWS::URLSuffix":
		return "amazonaws.com", nil
	case "AWS::StackName":
		return s.stack.name, nil
	case "AWS::StackId":
		return s.stack.id, nil
	case "AWS::NotificationARNs":
		return []any{}, nil
	case "AWS::NoValue":
		return noValue{}, nil
	}
	if value, is := s.parameters[name]; is {
		return value, nil
	}
	if r := s.resource(name); r != nil {
		return r.ref(), nil
	}
	return nil, faultf("Template format error: Unresolved resource dependencies [%s] in the Resources block of the template", name)
}

func (s *scope) getAtt(argument any) (any, error) {
	args := list(argument)
	if len(args) != 2 {
		return nil, faultf("Template error: every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource attribute")
	}
	name, _ := args[0].(string)
	attribute, _ := args[1].(string)
	r := s.resource(name)
	if r == nil {
		return nil, faultf("Template error: instance of Fn::GetAtt references undefined resource %s", name)
	}
	return r.attribute(attribute)
}

func (s *scope) sub(argument any) (any, error) {
	format, own := argument, map[string]any{}
	if l := list(argument); len(l) == 2 {
		format = l[0]
		values, err := s.eval(l[1])
		if err != nil {
			return nil, err
		}
		own = object(values)
	}
	source, ok := format.(string)
	if !ok {
		return nil, faultf("Template error: One or more Fn::Sub intrinsic functions don't specify expected arguments.")
	}
	var failed error
	out := subName.ReplaceAllStringFunc(source, func(match string) string {
		name := match[2 : len(match)-1]
		value, given := own[name]
		if !given {
			var err error
			if resource, attribute, isAttribute := strings.Cut(name, "."); isAttribute {
				value, err = s.getAtt([]any{resource, attribute})
			} else {
				value, err = s.ref(name)
			}
			if err != nil {
				failed = err
				return ""
			}
		}
		written, isText := value.(string)
		if !isText {
			failed = faultf("Template error: Fn::Sub: %s is not a string", name)
		}
		return written
	})
	return strings.ReplaceAll(out, "${!", "${"), failed
}

func join(args []any) (any, error) {
	if len(args) != 2 {
		return nil, faultf("Template error: every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of strings to be joined")
	}
	items, isList := args[1].([]any)
	delimiter, isText := args[0].(string)
	if !isList || !isText {
		return nil, faultf("Template error: every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of strings to be joined")
	}
	parts := make([]string, len(items))
	for i, item := range items {
		if parts[i], isText = item.(string); !isText {
			return nil, faultf("Template error: Fn::Join: %v is not a string", item)
		}
	}
	return strings.Join(parts, delimiter), nil
}

func split(args []any) (any, error) {
	if len(args) != 2 {
		return nil, faultf("Template error: every Fn::Split object requires two parameters")
	}
	delimiter, ok1 := args[0].(string)
	source, ok2 := args[1].(string)
	if !ok1 || !ok2 {
		return nil, faultf("Template error: Fn::Split: both must be strings")
	}
	out := []any{}
	for _, part := range strings.Split(source, delimiter) {
		out = append(out, part)
	}
	return out, nil
}

func choose(args []any) (any, error) {
	if len(args) != 2 {
		return nil, faultf("Template error: Fn::Select requires a list argument with two elements")
	}
	i, err := strconv.Atoi(fmt.Sprint(args[0]))
	items := list(args[1])
	if err != nil || i < 0 || i >= len(items) {
		return nil, faultf("Template error: Fn::Select cannot select nonexistent value at index %v", args[0])
	}
	return items[i], nil
}

func (s *scope) findInMap(args []any) (any, error) {
	if len(args) != 3 {
		return nil, faultf("Template error: every Fn::FindInMap object requires three parameters")
	}
	value, is := object(object(s.t.Mappings[fmt.Sprint(args[0])])[fmt.Sprint(args[1])])[fmt.Sprint(args[2])]
	if !is {
		return nil, faultf("Template error: Unable to get mapping for %v::%v::%v", args[0], args[1], args[2])
	}
	return value, nil
}
