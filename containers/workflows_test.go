package containers_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func workflows(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("../.github/workflows/*.yml")
	if err != nil || len(paths) == 0 {
		t.Fatal("there are no workflows", err)
	}
	all := map[string]string{}
	for _, path := range paths {
		var file struct {
			Permissions map[string]string
			Jobs        map[string]any
		}
		parse(t, path, &file)
		if len(file.Jobs) == 0 || file.Permissions["contents"] != "read" {
			t.Errorf("%s: it has no jobs, or may write to the repository", path)
		}
		all[filepath.Base(path)] = read(t, path)
	}
	return all
}

// What runs with the pipeline's identity is a commit that somebody looked at, and there is no key that could be taken.
func TestWorkflowsArePinnedAndHaveNoKeys(t *testing.T) {
	t.Parallel()
	uses, pinned := regexp.MustCompile(`uses: (\S+.*)`), regexp.MustCompile(`^[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	for name, text := range workflows(t) {
		for _, m := range uses.FindAllStringSubmatch(text, -1) {
			if own, isOwn := strings.CutPrefix(m[1], "./.github/workflows/"); isOwn {
				if _, there := workflows(t)[own]; !there {
					t.Errorf("%s: there is no %s", name, m[1])
				}
			} else if !pinned.MatchString(m[1]) {
				t.Errorf("%s: %s is not pinned by its commit, with its version beside it", name, m[1])
			}
		}
		for _, key := range []string{"secrets.", "aws-access-key-id", "AWS_SECRET_ACCESS_KEY", "pull_request_target"} {
			if strings.Contains(text, key) {
				t.Errorf("%s: %s: the pipeline works without keys, and never on a stranger's code with its own identity", name, key)
			}
		}
		// A name that somebody chose is data: it comes by the environment, never into the text of a command.
		for _, m := range regexp.MustCompile(`(?m)^\s+(?:- )?run: [^|\n]*\$\{\{.*$`).FindAllString(text, -1) {
			t.Errorf("%s: %s", name, strings.TrimSpace(m))
		}
	}
}

func TestWorkflowsCheckBeforeTheyDeploy(t *testing.T) {
	t.Parallel()
	all := workflows(t)
	check := all["check.yml"]
	for _, want := range []string{"container: debian:12", "run: bash .ci/run", "pull_request:"} {
		if !strings.Contains(check, want) {
			t.Errorf("check.yml has no %q", want)
		}
	}
	for name, environment := range map[string]string{"dev.yml": "dev", "staging.yml": "stg", "production.yml": "prod"} {
		var file struct {
			Jobs map[string]struct {
				Needs any
				Uses  string
				With  map[string]string
			}
		}
		parse(t, "../.github/workflows/"+name, &file)
		deploy := file.Jobs["deploy"]
		needs, _ := deploy.Needs.([]any)
		if one, ok := deploy.Needs.(string); ok {
			needs = []any{one}
		}
		checked := false
		for _, n := range needs {
			checked = checked || n == "check"
		}
		if !checked || deploy.With["environment"] != environment || file.Jobs["check"].Uses != "./.github/workflows/check.yml" {
			t.Errorf("%s: it deploys to %q, after %v", name, deploy.With["environment"], needs)
		}
	}
	if strings.Contains(all["production.yml"], "stages:") {
		t.Error("production.yml shortens the stages of a release")
	}
	if !strings.Contains(all["production.yml"], `^v20[0-9]{2}\.([1-9]|1[0-2])\.(0|[1-9][0-9]*)$`) || !strings.Contains(all["production.yml"], "--is-ancestor") {
		t.Error("production.yml takes tags that are no release of main")
	}
}
