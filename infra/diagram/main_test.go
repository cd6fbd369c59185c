package main

import (
	"os"
	"strings"
	"testing"
)

// TestReadmeIsWhatTheTemplatesSay fails when a template has changed and the README has not.
func TestReadmeIsWhatTheTemplatesSay(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	made, err := rewrite(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if made != string(text) {
		t.Error("infra/README.md is not what the templates say: go generate ./infra/diagram")
	}
	for _, part := range []string{"Kong -- \"8002, 8080\" --> InternalAlb", "smartpos -- \"HTTPS to api.pgw.\" --> pgw", "10.100.0.0/16", "obs-dns --> obs-ecs", "| 5-50 |"} {
		if !strings.Contains(made, part) {
			t.Errorf("%q is not in the picture", part)
		}
	}
	if _, err := rewrite("no marks"); err == nil {
		t.Error("a page without marks must be refused")
	}
}
