package release_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mpac-cloud/mpac/infra/engine"
	"github.com/mpac-cloud/mpac/infra/engine/enginetest"
	"github.com/mpac-cloud/mpac/infra/engine/fakeaws"
	"github.com/mpac-cloud/mpac/infra/engine/manifest"
	"github.com/mpac-cloud/mpac/infra/engine/release"
)

// run is a deployed stack about to be released.
type run struct {
	*enginetest.Account
	stack   *manifest.Stack
	release *release.Release
	weights []string // the weights that were seen, blue/green, as they changed
}

// healthy is what CloudWatch measures of a service that does well: 600 requests a minute, none failed, p95 120 ms.
func healthy(_, metric, _ string, _ time.Time) float64 {
	return map[string]float64{"RequestCount": 600, "TargetResponseTime": 0.12}[metric]
}

func setUp(t *testing.T, stack, version string) *run {
	t.Helper()
	a := enginetest.New(t, "dev")
	enginetest.Deploy(t, a.Open(t, "dev", "v1"), stack)
	r := &run{Account: a}
	r.Figure = healthy
	r.open(t, stack, version)
	return r
}

func (r *run) open(t *testing.T, stack, version string) {
	t.Helper()
	e := r.Open(t, "dev", version)
	r.stack = e.Manifest.Stack(stack)
	r.release = &release.Release{
		Engine: e, Stages: release.DefaultStages, Limits: release.DefaultLimits,
		Tell: func(stack, format string, args ...any) {
			r.Say(fmt.Sprintf(stack+": "+format, args...))
			r.see()
		},
	}
}

func (r *run) see() {
	p := r.Parameters(r.stack.StackName("dev"))
	for _, name := range r.stack.ServiceNames() {
		s := r.stack.Services[name]
		now := name + " " + p[s.WeightParameter(manifest.Blue)] + "/" + p[s.WeightParameter(manifest.Green)]
		if len(r.weights) == 0 || !slices.Contains(r.weights[max(0, len(r.weights)-len(r.stack.Services)):], now) {
			r.weights = append(r.weights, now)
		}
	}
}

func (r *run) parameter(name string) string { return r.Parameters(r.stack.StackName("dev"))[name] }

func TestReleaseGoesWell(t *testing.T) {
	t.Parallel()
	r := setUp(t, "pgw", "v2")
	begun := r.Clock.Now()
	if err := r.release.Run(t.Context(), r.stack, []string{"pgw-backend"}); err != nil {
		t.Fatalf("%v\n%s", err, r.Story())
	}
	want := []string{"pgw-backend 100/0", "pgw-backend 95/5", "pgw-backend 50/50", "pgw-backend 0/100"}
	if diff := cmp.Diff(want, r.weights); diff != "" {
		t.Errorf("%s\n%s", diff, r.Story())
	}
	if took := r.Clock.Now().Sub(begun); took < 50*time.Minute || took > 60*time.Minute {
		t.Errorf("it took %s", took)
	}
	v2 := r.Push("mpac/pgw-backend", "v2")
	for _, p := range []string{"PgwBackendGreenImage", "MigrateImage"} {
		if got := r.parameter(p); !strings.HasSuffix(got, v2) {
			t.Errorf("%s is %s", p, got)
		}
	}
	// The migration came before any traffic: two tasks by now, the first create's and this one.
	const task, update = "task mpac-pgw-dev MigrateTask", "update mpac-pgw-dev"
	if diff := cmp.Diff([]string{task, update, update, task, update, update, update, update}, r.Done("update", "task")); diff != "" {
		t.Error(diff)
	}
	// The old version stands by, and the new one has what is its least again.
	if blue, green := r.parameter("PgwBackendBlueMinCapacity"), r.parameter("PgwBackendGreenMinCapacity"); blue != "1" || green != "1" {
		t.Errorf("blue %s, green %s", blue, green)
	}
	// A release leaves no drift between the stack and what a deployment would make of it.
	p, err := r.Open(t, "dev", "").Plan(t.Context(), []string{"pgw"})
	if err != nil || !p.Empty() {
		t.Errorf("a deployment after a release would change something: %v", err)
	}
	// Again: nothing to do.
	r.open(t, "pgw", "v2")
	before := len(r.Journal())
	if err := r.release.Run(t.Context(), r.stack, []string{"pgw-backend"}); err != nil || len(r.Journal()) != before {
		t.Errorf("the second time: %v %v", err, r.Journal()[before:])
	}
}

func TestReleaseRaisesAsManyAsRun(t *testing.T) {
	t.Parallel()
	r := setUp(t, "pgw", "v2")
	name := r.release.Engine.Stack("pgw").Outputs["PgwBackendBlueService"]
	r.SetRunning(name, 3)
	most := "0"
	tell := r.release.Tell
	r.release.Tell = func(stack, format string, args ...any) {
		most = max(most, r.parameter("PgwBackendGreenMinCapacity"))
		tell(stack, format, args...)
	}
	if err := r.release.Run(t.Context(), r.stack, []string{"pgw-backend"}); err != nil {
		t.Fatal(err)
	}
	if most != "3" {
		t.Errorf("the new colour began with %s tasks while the old one had 3", most)
	}
}

func TestReleaseGoesBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		figure func(minutes time.Duration, group, metric string) float64
		want   string
		within time.Duration
		seen   string // the worst that was risked
	}{
		{
			"errors at 5%", func(_ time.Duration, group, metric string) float64 {
				return map[string]float64{"RequestCount": 100, "HTTPCode_Target_5XX_Count": 1, "TargetResponseTime": 0.1}[metric]
			}, "1.000% of", 5 * time.Minute, "pgw-backend 95/5",
		},
		{
			"slow at 50%", func(at time.Duration, _, metric string) float64 {
				if metric == "TargetResponseTime" && at > 20*time.Minute {
					return 0.51
				}
				return map[string]float64{"RequestCount": 100, "TargetResponseTime": 0.1}[metric]
			}, "p95 is 510ms", 25 * time.Minute, "pgw-backend 50/50",
		},
		{
			"refused connections after 100%", func(at time.Duration, _, metric string) float64 {
				if metric == "TargetConnectionErrorCount" && at > 46*time.Minute {
					return 5
				}
				return map[string]float64{"RequestCount": 100, "TargetResponseTime": 0.1}[metric]
			}, "more than 0.100%", 55 * time.Minute, "pgw-backend 0/100",
		},
		{
			"nobody comes", func(_ time.Duration, group, metric string) float64 {
				if metric == "RequestCount" && strings.Contains(group, "reen") || strings.Contains(group, "-g") {
					return 0
				}
				return map[string]float64{"RequestCount": 600, "TargetResponseTime": 0.1}[metric]
			}, "no request reached the new version", 20 * time.Minute, "pgw-backend 95/5",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := setUp(t, "pgw", "v2")
			green := r.release.Engine.Stack("pgw").Outputs["PgwBackendGreenTargetGroup"]
			begun := r.Clock.Now()
			r.Figure = func(group, metric, _ string, minute time.Time) float64 {
				name := "blue"
				if group == green {
					name = "green"
				}
				return c.figure(minute.Sub(begun), name, metric)
			}
			err := r.release.Run(t.Context(), r.stack, []string{"pgw-backend"})
			if !errors.Is(err, release.ErrBack) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v\n%s", err, r.Story())
			}
			if took := r.Clock.Now().Sub(begun); took > c.within {
				t.Errorf("it took %s to go back", took)
			}
			if r.parameter("PgwBackendBlueWeight") != "100" || r.parameter("PgwBackendGreenWeight") != "0" || r.parameter("PgwBackendGreenMinCapacity") != "0" {
				t.Errorf("it did not go back: %v", r.Parameters("mpac-pgw-dev"))
			}
			if last := r.weights[len(r.weights)-2]; last != c.seen {
				t.Errorf("it went back from %s: %v", last, r.weights)
			}
		})
	}
}

func TestReleaseStopsBeforeTraffic(t *testing.T) {
	t.Parallel()
	r := setUp(t, "pgw", "v2")
	r.Task = func(fakeaws.TaskRun) fakeaws.TaskEnd { return fakeaws.TaskEnd{ExitCode: 3} }
	if err := r.release.Run(t.Context(), r.stack, []string{"pgw-backend"}); err == nil || !strings.Contains(err.Error(), "nothing was moved") {
		t.Errorf("a failed migration: %v", err)
	}
	r.Task = nil
	r.open(t, "pgw", "v2")
	r.Fail("mpac-pgw-dev", "PgwBackendGreenService", "ECS Deployment Circuit Breaker was triggered")
	err := r.release.Run(t.Context(), r.stack, []string{"pgw-backend"})
	if err == nil || !strings.Contains(err.Error(), "no traffic was moved") || !strings.Contains(err.Error(), "Circuit Breaker") {
		t.Errorf("tasks that do not come up: %v", err)
	}
	if got := r.parameter("PgwBackendBlueWeight"); got != "100" {
		t.Errorf("blue has %s%%", got)
	}
	// Tasks that run, but not enough of them: 3 stand for 4 that the old colour has.
	r.open(t, "pgw", "v2")
	r.SetRunning(r.release.Engine.Stack("pgw").Outputs["PgwBackendBlueService"], 4)
	err = r.release.Run(t.Context(), r.stack, []string{"pgw-backend"})
	if err == nil || !strings.Contains(err.Error(), "3 of 4 tasks run") || r.parameter("PgwBackendGreenMinCapacity") != "0" {
		t.Errorf("too few tasks: %v; green has %s", err, r.parameter("PgwBackendGreenMinCapacity"))
	}
	r.open(t, "pgw", "v9")
	if err := r.release.Run(t.Context(), r.stack, []string{"pgw-backend"}); err == nil || !strings.Contains(err.Error(), "has no image v9") {
		t.Errorf("a version that is not there: %v", err)
	}
}

func TestRollback(t *testing.T) {
	t.Parallel()
	r := setUp(t, "pgw", "v2")
	services := []string{"pgw-backend"}
	if err := r.release.Rollback(t.Context(), r.stack, services, ""); err == nil || !strings.Contains(err.Error(), "there is none before it") {
		t.Errorf("before any release: %v", err)
	}
	if err := r.release.Run(t.Context(), r.stack, services); err != nil {
		t.Fatal(err)
	}
	updates := len(r.Done("update"))
	if err := r.release.Rollback(t.Context(), r.stack, services, ""); err != nil {
		t.Fatal(err)
	}
	if r.parameter("PgwBackendBlueWeight") != "100" || len(r.Done("update")) != updates+1 {
		t.Errorf("going back is one change of weights: %v", r.Done("update")[updates:])
	}
	if err := r.release.Rollback(t.Context(), r.stack, services, manifest.Blue); err != nil || !r.Said("nothing to take back") {
		t.Errorf("again: %v", err)
	}
	// The other way round, after the version that stands by was retired: it is brought up first.
	if err := r.release.Retire(t.Context(), r.stack, services); err != nil {
		t.Fatal(err)
	}
	if got := r.parameter("PgwBackendGreenMinCapacity"); got != "0" {
		t.Errorf("green still has %s", got)
	}
	if err := r.release.Rollback(t.Context(), r.stack, services, ""); err != nil {
		t.Fatal(err)
	}
	if r.parameter("PgwBackendGreenWeight") != "100" || r.parameter("PgwBackendGreenMinCapacity") == "0" {
		t.Errorf("green: %v", r.Parameters("mpac-pgw-dev"))
	}
}

// A release whose operator's machine died stays where it was: a deployment and another release refuse, a rollback knows the way.
func TestHalfARelease(t *testing.T) {
	t.Parallel()
	r := setUp(t, "pgw", "v2")
	services := []string{"pgw-backend"}
	if err := r.release.Run(t.Context(), r.stack, services); err != nil {
		t.Fatal(err)
	}
	// As the record and the weights would be in the middle of the next one.
	if err := r.Cloud.PutRecord(t.Context(), "releases/dev/pgw.json", map[string]any{"state": "moving", "to": map[string]string{"pgw-backend": "Blue"}}); err != nil {
		t.Fatal(err)
	}
	half := map[string]string{"PgwBackendBlueWeight": "50", "PgwBackendGreenWeight": "50", "PgwBackendBlueImage": r.parameter("PgwBackendBlueImage")}
	if err := r.release.Engine.Set(t.Context(), r.stack, half); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Open(t, "dev", "").Plan(t.Context(), []string{"pgw"}); !errors.Is(err, engine.ErrRelease) || !strings.Contains(err.Error(), "mpac deploy rollback") {
		t.Errorf("a deployment: %v", err)
	}
	r.open(t, "pgw", "v1")
	if err := r.release.Run(t.Context(), r.stack, services); !errors.Is(err, engine.ErrRelease) {
		t.Errorf("another release: %v", err)
	}
	if err := r.release.Rollback(t.Context(), r.stack, services, ""); err != nil {
		t.Fatal(err)
	}
	if got := r.parameter("PgwBackendGreenWeight"); got != "100" {
		t.Errorf("green, the old one, has %s%%", got)
	}
}

// Two services of one stack move together, and what rolls beside them follows at the end.
func TestReleaseOfEverything(t *testing.T) {
	t.Parallel()
	r := setUp(t, "smartpos", "v2")
	r.release.Everything = true
	if err := r.release.Run(t.Context(), r.stack, r.stack.ServiceNames()); err != nil {
		t.Fatal(err)
	}
	for p, repository := range map[string]string{"SvcPortalGreenImage": "mpac/svc-portal", "SvcSmarttabGreenImage": "mpac/svc-smarttab", "KongImage": "mpac/kong", "MigrateImage": "mpac/svc-portal"} {
		if got := r.parameter(p); !strings.HasSuffix(got, r.Push(repository, "v2")) {
			t.Errorf("%s is %s", p, got)
		}
	}
	if r.parameter("SvcPortalGreenWeight") != "100" || r.parameter("SvcSmarttabGreenWeight") != "100" {
		t.Errorf("%v", r.Parameters("mpac-smartpos-dev"))
	}
}

func TestServices(t *testing.T) {
	t.Parallel()
	m := enginetest.Manifest(t)
	found, err := release.Services(m, nil)
	if err != nil || len(found) != 2 || len(found[m.Stack("smartpos")]) != 2 {
		t.Errorf("%v %v", found, err)
	}
	if _, err := release.Services(m, []string{"kong"}); err == nil || !strings.Contains(err.Error(), "svc-portal, svc-smarttab") {
		t.Errorf("kong has no colours: %v", err)
	}
}

// Operators' commands are of the version that has the traffic: of the new one from the end of its release, of the old one after going back.
func TestOperatorsCommandsFollowTheTraffic(t *testing.T) {
	t.Parallel()
	r := setUp(t, "smartpos", "v2")
	v1, v2 := r.Push("mpac/svc-smarttab", "v1"), r.Push("mpac/svc-smarttab", "v2")
	running := func(when, digest string) {
		t.Helper()
		var image string
		r.Task = func(run fakeaws.TaskRun) fakeaws.TaskEnd {
			image = run.Image
			if run.StartedBy != "mpac-deploy/operator/tester" {
				t.Errorf("%s it was started by %q", when, run.StartedBy)
			}
			return fakeaws.TaskEnd{}
		}
		if _, err := r.Open(t, "dev", "").RunTask(t.Context(), r.stack, "svc-smarttab", "feed", "parked"); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(image, digest) {
			t.Errorf("%s operators run %s", when, image)
		}
	}
	running("before a release", v1)
	tell, between := r.release.Tell, ""
	r.release.Tell = func(stack, format string, args ...any) {
		tell(stack, format, args...)
		if r.parameter("SvcSmarttabGreenWeight") == "50" {
			between = r.parameter("SvcSmarttabOperatorImage")
		}
	}
	services := []string{"svc-portal", "svc-smarttab"}
	if err := r.release.Run(t.Context(), r.stack, services); err != nil {
		t.Fatalf("%v\n%s", err, r.Story())
	}
	if !strings.HasSuffix(between, v1) {
		t.Errorf("while two versions share the traffic operators run %s", between)
	}
	running("after a release", v2)
	if p, err := r.Open(t, "dev", "").Plan(t.Context(), []string{"smartpos"}); err != nil || !p.Empty() {
		t.Errorf("a deployment after a release would change something: %v", err)
	}
	r.open(t, "smartpos", "v1")
	if err := r.release.Rollback(t.Context(), r.stack, services, ""); err != nil {
		t.Fatal(err)
	}
	running("after going back", v1)
	// Another service's release leaves them alone.
	r.open(t, "smartpos", "v2")
	if err := r.release.Run(t.Context(), r.stack, []string{"svc-portal"}); err != nil {
		t.Fatal(err)
	}
	running("after another service's release", v1)
	// One that fails on the way leaves them too.
	r.Figure = func(_, metric, group string, at time.Time) float64 {
		if metric == "HTTPCode_Target_5XX_Count" {
			return 60
		}
		return healthy("", metric, group, at)
	}
	r.open(t, "smartpos", "v2")
	if err := r.release.Run(t.Context(), r.stack, []string{"svc-smarttab"}); !errors.Is(err, release.ErrBack) {
		t.Fatalf("got %v", err)
	}
	running("after a release that went back", v1)
}
