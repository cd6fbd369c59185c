package engine_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/mpac-cloud/mpac/infra/engine"
	"github.com/mpac-cloud/mpac/infra/engine/cloud"
	"github.com/mpac-cloud/mpac/infra/engine/enginetest"
	"github.com/mpac-cloud/mpac/infra/engine/fakeaws"
	"github.com/mpac-cloud/mpac/infra/engine/manifest"
)

func of(lines []string, system string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.Contains(l, "mpac-"+system) })
}

// Every name that the manifest and the parameter files use is in the templates, and the reverse, in every environment.
func TestManifestAndTemplatesAgree(t *testing.T) {
	t.Parallel()
	m := enginetest.Manifest(t)
	for env := range m.Environments {
		for _, s := range m.Stacks() {
			if err := engine.Check(m, env, s); err != nil {
				t.Errorf("%s: %v", env, err)
			}
		}
	}
}

func TestAllSixInOrder(t *testing.T) {
	t.Parallel()
	for _, env := range []string{"dev", "stg", "prod"} {
		t.Run(env, func(t *testing.T) {
			t.Parallel()
			a := enginetest.New(t, env)
			counts := map[string]string{}
			a.Task = func(run fakeaws.TaskRun) fakeaws.TaskEnd {
				counts[run.Definition+" "+run.Cluster] = run.Image
				return fakeaws.TaskEnd{Lines: []string{"brought the database to its newest version"}}
			}
			enginetest.Deploy(t, a.Open(t, env, "v1"))
			journal := a.Done("create", "update", "task")
			for system, want := range map[string][]string{
				"obs-": {"create mpac-obs-vpc-" + env, "create mpac-obs-dns-" + env, "create mpac-obs-box-" + env, "create mpac-obs-ecs-" + env},
				"pgw":  {"create mpac-pgw-" + env, "task mpac-pgw-" + env + " MigrateTask", "update mpac-pgw-" + env},
			} {
				got := of(journal, system)
				if diff := cmp.Diff(want, got[:len(want)]); diff != "" {
					t.Errorf("%s: %s", system, diff)
				}
			}
			// What systems know of each other came in at the end.
			if got := a.Parameters("mpac-obs-vpc-" + env)["SmartposNatAddresses"]; !strings.Contains(got, "/32") {
				t.Errorf("mpac-obs was not told smartpos's addresses: %q", got)
			}
			if got := a.Parameters("mpac-pgw-" + env)["OtlpEndpoint"]; !strings.HasPrefix(got, "https://otlp.obs.mpac-cloud") {
				t.Errorf("mpac-pgw sends its telemetry to %q", got)
			}
			if got, want := a.Parameters("mpac-obs-ecs-" + env)["VpcId"], a.Open(t, env, "").Stack("obs-vpc").Outputs["VpcId"]; got != want || got == "" {
				t.Errorf("outputs are not passed on: %q, want %q", got, want)
			}
			for _, image := range counts {
				if !strings.Contains(image, "@sha256:") {
					t.Errorf("a task runs an image without a digest: %s", image)
				}
			}
			if len(counts) != 2 {
				t.Errorf("%d databases were migrated, want 2", len(counts))
			}
			// Again: nothing.
			again := a.Open(t, env, "v1")
			p, err := again.Plan(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range p.Steps() {
				if step.Action != engine.None {
					t.Errorf("the second time, %s is to %s: %v", step.Stack.Name, step.Action, step.Changes)
				}
			}
			before := len(a.Journal())
			if err := again.Apply(t.Context(), p, enginetest.Agree); err != nil || len(a.Journal()) != before {
				t.Errorf("the second time something was done: %v %v", a.Journal()[before:], err)
			}
		})
	}
}

// Nothing runs before the database is migrated.
func TestFirstCreateRestsUntilMigrated(t *testing.T) {
	t.Parallel()
	a := enginetest.New(t, "dev")
	var at map[string]string
	a.Task = func(run fakeaws.TaskRun) fakeaws.TaskEnd {
		at = a.ParametersLocked("mpac-smartpos-dev")
		return fakeaws.TaskEnd{}
	}
	enginetest.Deploy(t, a.Open(t, "dev", "v1"), "smartpos")
	for _, p := range []string{"SvcPortalBlueMinCapacity", "SvcPortalGreenMinCapacity", "SvcSmarttabBlueMinCapacity", "KongMinCapacity"} {
		if at[p] != "0" {
			t.Errorf("%s was %s while the database was migrated", p, at[p])
		}
	}
	after := a.Parameters("mpac-smartpos-dev")
	if after["SvcPortalBlueMinCapacity"] == "0" || after["KongMinCapacity"] == "0" || after["SvcPortalGreenMinCapacity"] != "0" {
		t.Errorf("the counts did not come: %v", after)
	}
}

// A migration that fails leaves nothing running; the next deployment carries on from there.
func TestMigrationFails(t *testing.T) {
	t.Parallel()
	a := enginetest.New(t, "dev")
	a.Task = func(fakeaws.TaskRun) fakeaws.TaskEnd {
		return fakeaws.TaskEnd{ExitCode: 1, Lines: []string{"relation portal.merchants: permission denied"}}
	}
	e := a.Open(t, "dev", "v1")
	p, err := e.Plan(t.Context(), []string{"pgw"})
	if err != nil {
		t.Fatal(err)
	}
	err = e.Apply(t.Context(), p, enginetest.Agree)
	if err == nil || !strings.Contains(err.Error(), "exited with 1") {
		t.Fatalf("got %v", err)
	}
	if !a.Said("permission denied") {
		t.Errorf("what the task said was not told: %s", a.Story())
	}
	if got := a.Parameters("mpac-pgw-dev")["PgwBackendBlueMinCapacity"]; got != "0" {
		t.Errorf("tasks run: %s", got)
	}
	a.Task = nil
	e = a.Open(t, "dev", "v1")
	p, err = e.Plan(t.Context(), []string{"pgw"})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Steps()[0].Action; got != engine.Continue {
		t.Errorf("the plan is to %s", got)
	}
	if err := e.Apply(t.Context(), p, enginetest.Agree); err != nil {
		t.Fatal(err)
	}
	if got := a.Parameters("mpac-pgw-dev")["PgwBackendBlueMinCapacity"]; got == "0" {
		t.Error("the counts did not come")
	}
}

func TestWrongOrderIsRefused(t *testing.T) {
	t.Parallel()
	a := enginetest.New(t, "dev")
	for _, c := range []struct {
		names []string
		want  string
	}{
		{[]string{"obs-ecs"}, "obs-ecs needs obs-vpc and obs-dns and obs-box"},
		{[]string{"obs-box"}, "obs-box needs obs-vpc"},
		{[]string{"obs-vpc", "obs-ecs"}, "obs-ecs needs obs-dns and obs-box"},
	} {
		_, err := a.Open(t, "dev", "v1").Plan(t.Context(), c.names)
		if !errors.Is(err, manifest.ErrOrder) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c.names, err)
		}
	}
	if len(a.Done("create")) != 0 {
		t.Errorf("something was made: %v", a.Journal())
	}
	// And backwards: what others need is not removed.
	enginetest.Deploy(t, a.Open(t, "dev", "v1"), "obs")
	for _, c := range []struct{ name, want string }{{"obs-vpc", "obs-dns still needs obs-vpc"}, {"obs-box", "obs-ecs still needs obs-box"}} {
		if _, err := a.Open(t, "dev", "v1").PlanDestroy(t.Context(), []string{c.name}); !errors.Is(err, manifest.ErrOrder) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A stack that fails: the first cause is told, what comes after it is not begun, another system ends what it is at.
func TestFailureStops(t *testing.T) {
	t.Parallel()
	a := enginetest.New(t, "dev")
	name := enginetest.AnyOf(t, enginetest.Manifest(t), "obs-box", "AWS::AutoScaling::AutoScalingGroup")
	a.Fail("mpac-obs-box-dev", name, "The t3.medium instance type is not available in this zone")
	e := a.Open(t, "dev", "v1")
	p, err := e.Plan(t.Context(), []string{"obs"})
	if err != nil {
		t.Fatal(err)
	}
	err = e.Apply(t.Context(), p, enginetest.Agree)
	var failure *cloud.Failure
	if !errors.As(err, &failure) {
		t.Fatalf("got %v", err)
	}
	if failure.Reason != "The t3.medium instance type is not available in this zone" || failure.Status != "ROLLBACK_COMPLETE" {
		t.Errorf("told: %+v", failure)
	}
	if got := a.Status("mpac-obs-ecs-dev"); got != "" {
		t.Errorf("obs-ecs is %s", got)
	}
	// Once more, with nothing in the way: the remains go, and the rest comes.
	e = a.Open(t, "dev", "v1")
	p, err = e.Plan(t.Context(), []string{"obs"})
	if err != nil {
		t.Fatal(err)
	}
	if !p.Steps()[2].Remains {
		t.Error("the plan does not say that the remains are removed")
	}
	if err := e.Apply(t.Context(), p, enginetest.Agree); err != nil {
		t.Fatal(err)
	}
	if got := a.Status("mpac-obs-ecs-dev"); got != "CREATE_COMPLETE" {
		t.Errorf("obs-ecs is %s", got)
	}
}

func TestWithoutDNS(t *testing.T) {
	t.Parallel()
	office := enginetest.Changed(t, "parameters/dev/obs-vpc.yaml", func(s string) string { return strings.Replace(s, "AccessCidr: none", "AccessCidr: 198.51.100.0/24", 1) })
	a := enginetest.New(t, "dev")
	e := a.Open(t, "dev", "v1", office)
	e.Options["dns"] = false
	enginetest.Deploy(t, e)
	want := []string{"create mpac-obs-vpc-dev", "create mpac-obs-box-dev", "create mpac-obs-ecs-dev"}
	if diff := cmp.Diff(want, of(a.Done("create"), "obs-")); diff != "" {
		t.Error(diff)
	}
	if got := a.Parameters("mpac-obs-vpc-dev")["DnsEnabled"]; got != "false" {
		t.Errorf("obs-vpc believes that there is DNS: %s", got)
	}
	if got := a.Parameters("mpac-pgw-dev")["OtlpEndpoint"]; got != "none" {
		t.Errorf("pgw sends to %q although nothing listens", got)
	}
	// Turned on later: the names come, and everybody is told.
	e = a.Open(t, "dev", "v1")
	enginetest.Deploy(t, e)
	if got := a.Parameters("mpac-obs-ecs-dev")["CertificateArn"]; !strings.HasPrefix(got, "arn:aws:acm:") {
		t.Errorf("obs-ecs has the certificate %q", got)
	}
	if got := a.Parameters("mpac-smartpos-dev")["OtlpEndpoint"]; got != "https://otlp.obs.mpac-cloud-dev.com" {
		t.Errorf("smartpos sends to %q", got)
	}
	// An office's range is a must then; the template's own rule says so.
	e = enginetest.New(t, "dev").Open(t, "dev", "v1")
	e.Options["dns"] = false
	if _, err := e.Plan(t.Context(), []string{"obs"}); err == nil || !strings.Contains(err.Error(), "AccessCidr") {
		t.Errorf("without DNS and without a range: %v", err)
	}
	e.Options["dns"] = false
	if _, err := e.Plan(t.Context(), []string{"obs-dns"}); err == nil || !strings.Contains(err.Error(), "turned off") {
		t.Errorf("obs-dns without DNS: %v", err)
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	a := enginetest.New(t, "dev")
	enginetest.Deploy(t, a.Open(t, "dev", "v1"), "pgw")
	more := enginetest.Changed(t, "parameters/dev/pgw.yaml", func(s string) string {
		s = strings.Replace(s, `PgwBackendBlueMinCapacity: "1"`, `PgwBackendBlueMinCapacity: "2"`, 1)
		return strings.Replace(s, `DatabaseStorageGib: "50"`, `DatabaseStorageGib: "60"`, 1)
	})
	e := a.Open(t, "dev", "", more)
	p, err := e.Plan(t.Context(), []string{"pgw"})
	if err != nil {
		t.Fatal(err)
	}
	var touched []string
	for _, c := range p.Steps()[0].Changes {
		touched = append(touched, c.Type+" "+strings.Join(c.Properties, ","))
		if c.Action != "Modify" || c.Replacement != "False" {
			t.Errorf("%+v", c)
		}
	}
	if !slices.ContainsFunc(touched, func(s string) bool { return strings.HasPrefix(s, "AWS::RDS::DBInstance AllocatedStorage") }) || len(touched) > 4 {
		t.Errorf("the plan touches %v", touched)
	}
	if err := e.Apply(t.Context(), p, enginetest.Agree); err != nil {
		t.Fatal(err)
	}
	if got := a.Parameters("mpac-pgw-dev")["PgwBackendBlueMinCapacity"]; got != "2" {
		t.Errorf("at least %s tasks", got)
	}
	// A version given to an existing stack moves what rolls, never what a release moves.
	enginetest.Deploy(t, a.Open(t, "dev", "v2", more), "pgw")
	now := a.Parameters("mpac-pgw-dev")
	if !strings.HasSuffix(now["MatcherImage"], a.Push("mpac/matcher", "v2")) || strings.HasSuffix(now["PgwBackendBlueImage"], a.Push("mpac/pgw-backend", "v2")) {
		t.Errorf("matcher %s, pgw-backend %s", now["MatcherImage"], now["PgwBackendBlueImage"])
	}
}

// What would lose data is named, so that the command can refuse it.
func TestLosses(t *testing.T) {
	t.Parallel()
	a := enginetest.New(t, "dev")
	enginetest.Deploy(t, a.Open(t, "dev", "v1"), "pgw")
	other := enginetest.Changed(t, "pgw/ecs-stack.yaml", func(s string) string {
		return strings.Replace(s, "StorageEncrypted: true", "StorageEncrypted: false", 1)
	})
	p, err := a.Open(t, "dev", "", other).Plan(t.Context(), []string{"pgw"})
	if err != nil {
		t.Fatal(err)
	}
	losses := p.Steps()[0].Losses()
	if len(losses) != 1 || losses[0].Type != "AWS::RDS::DBInstance" {
		t.Errorf("losses: %+v", losses)
	}
}

// A failed update leaves the stack as it was, and says why.
func TestUpdateFails(t *testing.T) {
	t.Parallel()
	a := enginetest.New(t, "dev")
	enginetest.Deploy(t, a.Open(t, "dev", "v1"), "pgw")
	before := a.Parameters("mpac-pgw-dev")
	more := enginetest.Changed(t, "parameters/dev/pgw.yaml", func(s string) string {
		return strings.Replace(s, `DatabaseStorageGib: "50"`, `DatabaseStorageGib: "60"`, 1)
	})
	a.Fail("mpac-pgw-dev", enginetest.AnyOf(t, enginetest.Manifest(t, more), "pgw", "AWS::RDS::DBInstance"), "Storage can be modified again in 6 hours")
	e := a.Open(t, "dev", "", more)
	p, err := e.Plan(t.Context(), []string{"pgw"})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Apply(t.Context(), p, enginetest.Agree); err == nil || !strings.Contains(err.Error(), "UPDATE_ROLLBACK_COMPLETE") || !strings.Contains(err.Error(), "again in 6 hours") {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff(before, a.Parameters("mpac-pgw-dev")); diff != "" {
		t.Error(diff)
	}
}

// A plan that is not carried out leaves nothing behind.
func TestDiscard(t *testing.T) {
	t.Parallel()
	a := enginetest.New(t, "dev")
	e := a.Open(t, "dev", "v1")
	p, err := e.Plan(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range p.Steps() {
		if step.Action != engine.Create || len(step.Changes) < 3 {
			t.Errorf("%s: %s with %d changes", step.Stack.Name, step.Action, len(step.Changes))
		}
	}
	if err := e.Discard(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	for _, s := range enginetest.Manifest(t).Stacks() {
		if got := a.Status(s.StackName("dev")); got != "" {
			t.Errorf("%s is %s", s.Name, got)
		}
	}
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	a := enginetest.New(t, "dev")
	prod := &engine.Engine{Manifest: enginetest.Manifest(t), Cloud: a.Cloud, Env: "prod"}
	if err := prod.Open(t.Context()); err == nil || !strings.Contains(err.Error(), `belongs to "dev"`) {
		t.Errorf("production in dev's account: %v", err)
	}
	nowhere := &engine.Engine{Manifest: enginetest.Manifest(t), Cloud: a.Cloud, Env: "qa"}
	if err := nowhere.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "dev, prod, stg") {
		t.Errorf("an unknown environment: %v", err)
	}
	if _, err := a.Open(t, "dev", "").Plan(t.Context(), []string{"pgw"}); err == nil || !strings.Contains(err.Error(), "--version") {
		t.Errorf("a first create without a version: %v", err)
	}
	if _, err := a.Open(t, "dev", "v9").Plan(t.Context(), []string{"pgw"}); err == nil || !strings.Contains(err.Error(), "has no image v9") {
		t.Errorf("a version that was not pushed: %v", err)
	}
}

func TestSomebodyElse(t *testing.T) {
	t.Parallel()
	a := enginetest.New(t, "dev")
	enginetest.Deploy(t, a.Open(t, "dev", "v1"), "pgw")
	for status, want := range map[string]string{"UPDATE_IN_PROGRESS": "somebody else", "UPDATE_ROLLBACK_FAILED": "continue-update-rollback"} {
		a.SetBusy("mpac-pgw-dev", status)
		if _, err := a.Open(t, "dev", "v1").Plan(t.Context(), []string{"pgw"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", status, err)
		}
	}
}

func TestDriftIsNamed(t *testing.T) {
	t.Parallel()
	a := enginetest.New(t, "dev")
	enginetest.Deploy(t, a.Open(t, "dev", "v1"), "pgw")
	e := a.Open(t, "dev", "")
	drifts, err := e.Drift(t.Context(), nil)
	if err != nil || len(drifts) != 1 || len(drifts[0].Resources) != 0 {
		t.Fatalf("before: %+v, %v", drifts, err)
	}
	name := enginetest.AnyOf(t, e.Manifest, "pgw", "AWS::RDS::DBInstance")
	if err := a.Tamper("mpac-pgw-dev", name, "BackupRetentionPeriod", "0"); err != nil {
		t.Fatal(err)
	}
	drifts, err = e.Drift(t.Context(), []string{"pgw"})
	if err != nil {
		t.Fatal(err)
	}
	want := []engine.Drift{{Stack: "pgw", Resources: []cloud.Drifted{{
		Logical: name, Type: "AWS::RDS::DBInstance", Status: "MODIFIED", Differences: []string{`/BackupRetentionPeriod: "3" -> "0"`},
	}}}}
	if diff := cmp.Diff(want, drifts); diff != "" {
		t.Error(diff)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	a := enginetest.New(t, "dev")
	enginetest.Deploy(t, a.Open(t, "dev", "v1"), "pgw")
	all, err := a.Open(t, "dev", "").Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		switch {
		case s.Stack != "pgw" && s.Status != "not deployed":
			t.Errorf("%+v", s)
		case s.Stack == "pgw" && (len(s.Services) != 2 || s.Services[0].Weight != 100 || s.Services[0].Running < 1 || s.Services[1].Running != 0):
			t.Errorf("%+v", s)
		}
	}
}

func TestDestroy(t *testing.T) {
	t.Parallel()
	a := enginetest.New(t, "dev")
	enginetest.Deploy(t, a.Open(t, "dev", "v1"))
	e := a.Open(t, "dev", "")
	removals, err := e.PlanDestroy(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for _, r := range removals {
		kept = append(append(kept, r.Kept...), r.Snapshots...)
		if len(r.Protected) > 0 {
			t.Errorf("dev is protected: %v", r.Protected)
		}
	}
	for _, what := range []string{"AWS::KMS::Key", "AWS::RDS::DBInstance", "AWS::S3::Bucket"} {
		if !slices.ContainsFunc(kept, func(k string) bool { return strings.Contains(k, what) }) {
			t.Errorf("of %s nothing is said to stay: %v", what, kept)
		}
	}
	if err := e.Destroy(t.Context(), removals, ""); err != nil {
		t.Fatal(err)
	}
	want := []string{"delete mpac-obs-ecs-dev", "delete mpac-obs-box-dev", "delete mpac-obs-dns-dev", "delete mpac-obs-vpc-dev"}
	if diff := cmp.Diff(want, of(a.Done("delete"), "obs-")); diff != "" {
		t.Error(diff)
	}
	if left := a.Status("mpac-smartpos-dev"); left != "" {
		t.Errorf("smartpos is %s", left)
	}
}

func TestDestroyProduction(t *testing.T) {
	t.Parallel()
	a := enginetest.New(t, "prod")
	enginetest.Deploy(t, a.Open(t, "prod", "v1"), "pgw")
	e := a.Open(t, "prod", "")
	removals, err := e.PlanDestroy(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(removals) != 1 || !removals[0].Guarded || len(removals[0].Protected) < 2 {
		t.Errorf("production is not protected: %+v", removals)
	}
	for _, phrase := range []string{"", "yes", "destroy dev in 123456789012"} {
		if err := e.Destroy(t.Context(), removals, phrase); !errors.Is(err, engine.ErrConfirm) {
			t.Errorf("%q: %v", phrase, err)
		}
	}
	// Typed rightly, protected resources still stop it, by name, before anything is gone.
	err = e.Destroy(t.Context(), removals, "destroy prod in 123456789012")
	if err == nil || !strings.Contains(err.Error(), "AWS::RDS::DBInstance") || len(a.Done("delete")) != 0 {
		t.Errorf("%v, %v", err, a.Done("delete"))
	}
}

// A plan made of something else than what is there when it is carried out is worked out anew, and asked about.
func TestSurprises(t *testing.T) {
	t.Parallel()
	a := enginetest.New(t, "dev")
	enginetest.Deploy(t, a.Open(t, "dev", "v1"), "pgw")
	other := enginetest.Changed(t, "pgw/ecs-stack.yaml", func(s string) string { return strings.Replace(s, "10.0.10.0/24", "10.0.12.0/24", 1) })
	e := a.Open(t, "dev", "", other)
	p, err := e.Plan(t.Context(), []string{"pgw"})
	if err != nil {
		t.Fatal(err)
	}
	step := p.Steps()[0]
	if !slices.ContainsFunc(step.Changes, func(c cloud.Change) bool { return c.Type == "AWS::EC2::Subnet" && c.Replacement == "True" }) {
		t.Fatalf("the subnet is not replaced: %+v", step.Changes)
	}
	step.Changes = nil // as if it had been shown otherwise
	if err := e.Discard(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	asked := false
	err = e.Apply(t.Context(), p, func(*engine.Step) bool { asked = true; return false })
	if err == nil || !asked || !strings.Contains(err.Error(), "not agreed") {
		t.Errorf("asked: %v, %v", asked, err)
	}
}

// A plan that is declined after somebody else has made the stack leaves theirs alone.
func TestDiscardLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	a := enginetest.New(t, "dev")
	ours := a.Open(t, "dev", "v1")
	p, err := ours.Plan(t.Context(), []string{"pgw"})
	if err != nil {
		t.Fatal(err)
	}
	theirs := a.Open(t, "dev", "v1")
	enginetest.Deploy(t, theirs, "pgw")
	if err := ours.Discard(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if got := a.Status("mpac-pgw-dev"); got != "UPDATE_COMPLETE" {
		t.Errorf("their stack is %q", got)
	}
}

// Whoever stops looking is told that the stack goes on.
func TestStoppedLooking(t *testing.T) {
	t.Parallel()
	a := enginetest.New(t, "dev")
	e := a.Open(t, "dev", "v1")
	p, err := e.Plan(t.Context(), []string{"pgw"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	e.Tell = func(p engine.Progress) {
		if p.Event != nil {
			stop()
		}
	}
	if err := e.Apply(ctx, p, enginetest.Agree); err == nil || !strings.Contains(err.Error(), "goes on without us") {
		t.Errorf("got %v", err)
	}
	if got := a.Status("mpac-pgw-dev"); got != "CREATE_IN_PROGRESS" {
		t.Errorf("the stack is %q", got)
	}
}

// A stack of before there was a task for operators' commands gets what its live colour runs, whatever version is deployed.
func TestANewTaskHasTheLiveImage(t *testing.T) {
	t.Parallel()
	const image, template = "          image: {parameter: SvcSmarttabOperatorImage, repository: mpac/svc-smarttab}\n", "smartpos/ecs-stack.yaml"
	files, _ := enginetest.Changed(t, "manifest.yaml", func(text string) string { return strings.Replace(text, image, "", 1) }).(fstest.MapFS)
	text := string(files[template].Data)
	head, rest, _ := strings.Cut(text, "  SvcSmarttabOperatorImage:\n")
	_, rest, _ = strings.Cut(rest, "  SvcSmarttabMaxCapacity:\n")
	text = strings.ReplaceAll(head+"  SvcSmarttabMaxCapacity:\n"+rest, "Image: !Ref SvcSmarttabOperatorImage", "Image: !Ref SvcSmarttabBlueImage\n          StartTimeout: 60")
	files[template] = &fstest.MapFile{Data: []byte(strings.Replace(text, "          - SvcSmarttabOperatorImage\n", "", 1))}

	a := enginetest.New(t, "dev")
	enginetest.Deploy(t, a.Open(t, "dev", "v1", files), "smartpos")
	for _, version := range []string{"", "v2"} {
		enginetest.Deploy(t, a.Open(t, "dev", version), "smartpos")
		now := a.Parameters("mpac-smartpos-dev")
		if got := now["SvcSmarttabOperatorImage"]; got != now["SvcSmarttabBlueImage"] || !strings.HasSuffix(got, a.Push("mpac/svc-smarttab", "v1")) {
			t.Errorf("deployed %q, operators run %s", version, got)
		}
	}
}
