package manifest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Selection is what is to be worked on: each system's stacks in their order.
type Selection struct {
	Systems [][]*Stack
	Options map[string]bool // option and whether it is in use
}

// Stacks are all of them in order.
func (s Selection) Stacks() []*Stack { return slices.Concat(s.Systems...) }

// Has tells whether a stack was selected.
func (s Selection) Has(name string) bool {
	return slices.ContainsFunc(s.Stacks(), func(st *Stack) bool { return st.Name == name })
}

// OptionsOf are all options of an environment: what was said, else what the environment does without, else the default.
func (m *Manifest) OptionsOf(env string, said map[string]bool) map[string]bool {
	all := map[string]bool{}
	for name, o := range m.Options {
		all[name] = o.Default
	}
	for _, name := range m.Environments[env].Without {
		all[name] = false
	}
	maps.Copy(all, said)
	return all
}

// Select finds the stacks that the names (systems or stacks; none: everything) mean, in the order to deploy them. Stacks of an option
// that is off, or not said, are left out; naming one is an error.
func (m *Manifest) Select(names []string, options map[string]bool) (Selection, error) {
	selection := Selection{Options: options}
	for name := range options {
		if _, known := m.Options[name]; !known {
			return selection, fmt.Errorf("there is no option %q; there are: %s", name, strings.Join(slices.Sorted(maps.Keys(m.Options)), ", "))
		}
	}
	chosen := map[string]bool{}
	for _, name := range names {
		if err := m.choose(name, selection.Options, chosen); err != nil {
			return selection, err
		}
	}
	for _, system := range m.SystemNames() {
		var stacks []*Stack
		for _, s := range m.Systems[system] {
			if on := s.Optional == "" || selection.Options[s.Optional]; on && (len(names) == 0 || chosen[s.Name]) {
				stacks = append(stacks, s)
			}
		}
		if len(stacks) > 0 {
			selection.Systems = append(selection.Systems, stacks)
		}
	}
	return selection, nil
}

func (m *Manifest) choose(name string, options, chosen map[string]bool) error {
	// smartpos and pgw are a system and its only stack at once; either reading is the same.
	if stacks, isSystem := m.Systems[name]; isSystem {
		for _, s := range stacks {
			chosen[s.Name] = true
		}
		return nil
	}
	s := m.Stack(name)
	if s == nil {
		var known []string
		for _, s := range m.Stacks() {
			known = append(known, s.Name)
		}
		return fmt.Errorf("there is no system or stack %q; systems: %s; stacks: %s", name, strings.Join(m.SystemNames(), ", "), strings.Join(known, ", "))
	}
	if s.Optional != "" && !options[s.Optional] {
		return fmt.Errorf("%s belongs to %s, which is turned off", s.Name, s.Optional)
	}
	chosen[s.Name] = true
	return nil
}

// ErrOrder is in the error of a deployment or removal that is asked for in a wrong order.
var ErrOrder = errors.New("wrong order")

// CheckDeploy refuses a selection whose stacks need others that are neither selected nor there.
func (m *Manifest) CheckDeploy(selection Selection, there func(stack string) bool) error {
	var wrong []error
	for _, s := range selection.Stacks() {
		var missing []string
		for _, need := range s.Needs {
			n := m.Stack(need)
			off := n.Optional != "" && !selection.Options[n.Optional]
			if !off && !selection.Has(need) && !there(need) {
				missing = append(missing, need)
			}
		}
		if len(missing) > 0 {
			wrong = append(wrong, fmt.Errorf("%w: %s needs %s, not deployed yet", ErrOrder, s.Name, strings.Join(missing, " and ")))
		}
	}
	return errors.Join(wrong...)
}

// CheckDestroy refuses a selection that others, which stay, need.
func (m *Manifest) CheckDestroy(selection Selection, there func(stack string) bool) error {
	var wrong []error
	for _, s := range m.Stacks() {
		if selection.Has(s.Name) || !there(s.Name) {
			continue
		}
		for _, need := range s.Needs {
			if selection.Has(need) {
				wrong = append(wrong, fmt.Errorf("%w: %s still needs %s", ErrOrder, s.Name, need))
			}
		}
	}
	return errors.Join(wrong...)
}

// ServiceNames are the names of a stack's services in one order.
func (s *Stack) ServiceNames() []string { return slices.Sorted(maps.Keys(s.Services)) }
