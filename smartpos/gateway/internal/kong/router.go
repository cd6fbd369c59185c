package kong

import (
	"cmp"
	"slices"
	"strings"
)

// Router finds the route of a request in Kong's order: routes that also name methods before those that do not, regular
// expressions before prefixes, the higher regex_priority, the longer path, the order of the file.
type Router struct {
	entries []entry
}

type entry struct {
	service *Service
	route   *Route
	path    Path
	literal string // what a match must begin with: saves most regular expressions
}

// Match is a found route.
type Match struct {
	Service *Service
	Route   *Route
	// Rest is what the service is asked for: the request's path, less what matched when the route strips it, after the service's own.
	Rest string
	// Stripped is the part that was taken away.
	Stripped string
}

// NewRouter indexes a file's routes.
func NewRouter(file *File) *Router {
	r := &Router{}
	for i := range file.Services {
		service := &file.Services[i]
		for j := range service.Routes {
			route := &service.Routes[j]
			for _, path := range route.Paths {
				literal := path.Prefix
				if path.Regexp != nil {
					literal, _ = path.Regexp.LiteralPrefix()
				}
				r.entries = append(r.entries, entry{service, route, path, literal})
			}
		}
	}
	slices.SortStableFunc(r.entries, before)
	return r
}

func before(a, b entry) int {
	return cmp.Or(
		-compareBool(len(a.route.Methods) > 0, len(b.route.Methods) > 0),
		-compareBool(a.path.Regexp != nil, b.path.Regexp != nil),
		-cmp.Compare(a.route.RegexPriority, b.route.RegexPriority),
		-cmp.Compare(len(a.path.source), len(b.path.source)),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// Find returns the route for a method and a normalised path (see Normalise).
func (r *Router) Find(method, path string) (Match, bool) {
	for i := range r.entries {
		e := &r.entries[i]
		if !strings.HasPrefix(path, e.literal) || len(e.route.Methods) > 0 && !slices.Contains(e.route.Methods, method) {
			continue
		}
		matched := e.literal
		if e.path.Regexp != nil {
			matched = e.path.Regexp.FindString(path)
			if matched == "" {
				continue
			}
		}
		return e.match(path, matched), true
	}
	return Match{}, false
}

func (e *entry) match(path, matched string) Match {
	m := Match{Service: e.service, Route: e.route}
	base := strings.TrimSuffix(e.service.URL.Path, "/")
	rest := path
	if e.route.StripPath {
		rest = strings.TrimPrefix(path, matched)
		m.Stripped = matched
	}
	if rest != "" && rest[0] != '/' {
		rest = "/" + rest
	}
	m.Rest = base + rest
	if m.Rest == "" {
		m.Rest = "/"
	}
	return m
}

// Normalise brings an escaped path into the one form that routes are matched by and services are asked with, as Kong does:
// escapes of unreserved characters decoded, the others in upper case, dot segments resolved, slashes merged. So a path can't pass
// one rule here and mean another thing behind.
func Normalise(escaped string) string {
	var segments []string
	clean := unescapeUnreserved(escaped)
	parts := strings.Split(clean, "/")
	for i, s := range parts {
		switch s {
		case "", ".":
		case "..":
			if len(segments) > 0 {
				segments = segments[:len(segments)-1]
			}
		default:
			segments = append(segments, s)
			continue
		}
		if i == len(parts)-1 && len(segments) > 0 {
			return "/" + strings.Join(segments, "/") + "/"
		}
	}
	return "/" + strings.Join(segments, "/")
}

func unescapeUnreserved(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' || i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0 {
			b.WriteByte(s[i])
			continue
		}
		c := byte(unhex(s[i+1])<<4 | unhex(s[i+2])) //nolint:gosec // two hexadecimal digits
		if isUnreserved(c) {
			b.WriteByte(c)
		} else {
			b.WriteString(strings.ToUpper(s[i : i+3]))
		}
		i += 2
	}
	return b.String()
}

func unhex(c byte) int { return strings.IndexByte("0123456789abcdef", c|0x20) }

func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}
