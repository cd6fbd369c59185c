package template

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// Get is what stands at a path of a resource's properties, such as "Listeners.0.Port"; nil when nothing does.
func (r *Resource) Get(path string) any {
	if r == nil {
		return nil
	}
	return At(r.Properties, path)
}

// Text is what stands at the path as text: "" for nothing, a reference as Fn::Sub writes it.
func (r *Resource) Text(path string) string { return Text(r.Get(path)) }

// Int is what stands at the path as a number; -1 when it is none.
func (r *Resource) Int(path string) int {
	n, err := strconv.Atoi(r.Text(path))
	if err != nil {
		return -1
	}
	return n
}

// Ref is the reference that stands at the path; the zero Reference when none does.
func (r *Resource) Ref(path string) Reference { ref, _ := r.Get(path).(Reference); return ref }

// List is the list that stands at the path.
func (r *Resource) List(path string) []any { return List(r.Get(path)) }

// At is what stands at a path of a value.
func At(v any, path string) any {
	for key := range strings.SplitSeq(path, ".") {
		switch inner := v.(type) {
		case map[string]any:
			v = inner[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(inner) {
				return nil
			}
			v = inner[i]
		default:
			return nil
		}
	}
	return v
}

// Text is a value as text: "" for nil.
func Text(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// Texts are the elements of a list as text; one value counts as a list of it, as in IAM's policies.
func Texts(v any) []string {
	list, ok := v.([]any)
	if !ok {
		if v == nil {
			return nil
		}
		list = []any{v}
	}
	texts := make([]string, len(list))
	for i, e := range list {
		texts[i] = Text(e)
	}
	return texts
}

// References are all references in a value.
func References(v any) iter.Seq[Reference] {
	return func(yield func(Reference) bool) { references(v, yield) }
}

func references(v any, yield func(Reference) bool) bool {
	switch v := v.(type) {
	case Reference:
		return yield(v)
	case []any:
		for _, inner := range v {
			if !references(inner, yield) {
				return false
			}
		}
	case map[string]any:
		for _, inner := range v {
			if !references(inner, yield) {
				return false
			}
		}
	}
	return true
}

// Of lists a stack's resources of some types, as they are written.
func (s *Stack) Of(types ...string) []*Resource {
	var found []*Resource
	for _, name := range s.Template.order {
		if r := s.Resources[name]; r != nil && slices.Contains(types, r.Type) {
			found = append(found, r)
		}
	}
	return found
}

// Each lists a stack's resources as they are written.
func (s *Stack) Each() []*Resource {
	var all []*Resource
	for _, name := range s.Template.order {
		if r := s.Resources[name]; r != nil {
			all = append(all, r)
		}
	}
	return all
}
