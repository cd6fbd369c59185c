package policy_test

import (
	"os"
	"testing"

	"github.com/mpac-cloud/mpac/infra/policy"
)

// TestTemplatesKeepEveryRule evaluates the six templates in every environment, with and without DNS, alone and together, before and
// after the first migration, and holds each against the tables.
func TestTemplatesKeepEveryRule(t *testing.T) {
	t.Parallel()
	findings, err := policy.Check(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		t.Error(f)
	}
}
