// Package config reads a process's configuration from its environment, once, into a typed struct, and says everything that is
// wrong with it at once.
//
// A field carries `env:"NAME"` (with ,required or envDefault as caarlos0/env reads them) and `doc:"what it does"`. Secrets are of
// type Secret, which never prints itself.
package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"text/tabwriter"

	"github.com/caarlos0/env/v11"
)

// Secret is a string that shows itself only to Reveal: it is redacted in logs, JSON, errors and fmt.
type Secret string

const redacted = "[redacted]"

// Reveal returns the secret itself. Every call is a place to check.
func (s Secret) Reveal() string { return string(s) }

// String is for fmt.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString is for %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalJSON is for encoding/json.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// LogValue is for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Checker is implemented by a configuration whose fields must agree with each other.
type Checker interface{ Check() error }

// Load reads T from the environment. The error names every variable that is missing or malformed, one a line.
func Load[T any]() (T, error) {
	return LoadFrom[T](nil)
}

// LoadFrom is Load from the given variables instead of the process's own.
func LoadFrom[T any](environment map[string]string) (T, error) {
	var cfg T
	err := env.ParseWithOptions(&cfg, env.Options{Environment: environment})
	if err == nil {
		if c, ok := any(&cfg).(Checker); ok {
			err = c.Check()
		}
	}
	if err != nil {
		return cfg, fmt.Errorf("configuration:\n%w", each(err))
	}
	return cfg, nil
}

// each puts the errors that caarlos0/env joins into one line a variable.
func each(err error) error {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return err
	}
	lines := make([]error, 0, len(all.Errors))
	for _, e := range all.Errors {
		lines = append(lines, fmt.Errorf("  %w", e))
	}
	return errors.Join(lines...)
}

// Variable describes one environment variable that a process reads.
type Variable struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Default  string `json:"default,omitempty"`
	Required bool   `json:"required"`
	Secret   bool   `json:"secret"`
	Doc      string `json:"doc"`
}

// Describe lists the variables of T in the order of its fields.
func Describe[T any]() []Variable {
	return describe(reflect.TypeFor[T](), "")
}

func describe(t reflect.Type, prefix string) []Variable {
	var all []Variable
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("env"), ",")
		if name == "" {
			if f.Type.Kind() == reflect.Struct {
				all = append(all, describe(f.Type, prefix+f.Tag.Get("envPrefix"))...)
			}
			continue
		}
		all = append(all, Variable{
			Name: prefix + name, Type: typeName(f.Type), Default: f.Tag.Get("envDefault"),
			Required: strings.Contains(options, "required") || strings.Contains(options, "notEmpty"),
			Secret:   f.Type == reflect.TypeFor[Secret](), Doc: f.Tag.Get("doc"),
		})
	}
	return all
}

func typeName(t reflect.Type) string {
	switch t.String() {
	case "config.Secret":
		return "secret"
	case "time.Duration":
		return "duration"
	}
	return t.Kind().String()
}

// WriteHelp writes the variables of T as a table for people.
func WriteHelp[T any](w io.Writer) {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, v := range Describe[T]() {
		note := v.Doc
		switch {
		case v.Required:
			note += " (required)"
		case v.Default != "":
			note += fmt.Sprintf(" (default %s)", v.Default)
		}
		_, _ = fmt.Fprintf(table, "  %s\t%s\t%s\n", v.Name, v.Type, note)
	}
	_ = table.Flush()
}

// WriteJSON writes what a process reads and, when cfg could be loaded, what it would run with; secrets redacted. commands are
// the variables of those of its commands that read others; may be nil.
func WriteJSON[T any](w io.Writer, cfg *T, loadErr error, commands map[string][]Variable) error {
	values := map[string]any{}
	if cfg != nil {
		collect(reflect.ValueOf(*cfg), "", values)
	}
	out := struct {
		Variables []Variable            `json:"variables"`
		Commands  map[string][]Variable `json:"commands,omitempty"`
		Values    map[string]any        `json:"values"`
		Error     string                `json:"error,omitempty"`
	}{Variables: Describe[T](), Commands: commands, Values: values}
	if loadErr != nil {
		out.Error = loadErr.Error()
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

func collect(v reflect.Value, prefix string, into map[string]any) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		switch {
		case name != "":
			into[prefix+name] = fmt.Sprint(v.Field(i).Interface())
		case f.Type.Kind() == reflect.Struct && f.IsExported():
			collect(v.Field(i), prefix+f.Tag.Get("envPrefix"), into)
		}
	}
}
