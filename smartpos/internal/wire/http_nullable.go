package wire

import "github.com/danielgtaylor/huma/v2"

// Nullable says in the schema of a struct that the members, objects with schemas of their own, may be null: for a type's
// TransformSchema. (Members of other types take the tag `nullable:"true"`.)
func Nullable(s *huma.Schema, members ...string) *huma.Schema {
	for _, name := range members {
		if p := s.Properties[name]; p != nil && p.Ref != "" {
			s.Properties[name] = &huma.Schema{OneOf: []*huma.Schema{{Ref: p.Ref}, {Type: "null"}}, Description: p.Description}
		}
	}
	return s
}
