package secrets_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/mpac-cloud/mpac/infra/engine/enginetest"
	"github.com/mpac-cloud/mpac/infra/engine/fakeaws"
	"github.com/mpac-cloud/mpac/infra/engine/secrets"
	"github.com/mpac-cloud/mpac/platform/handover"
)

// gateway plays pgw-backend's partner commands.
type gateway struct {
	made    int
	ran     []string
	revoked []string
	broken  bool
}

func (g *gateway) task(run fakeaws.TaskRun) fakeaws.TaskEnd {
	if run.Container != "partner" {
		return fakeaws.TaskEnd{}
	}
	g.ran = append(g.ran, strings.Join(run.Command, " "))
	if g.broken {
		return fakeaws.TaskEnd{ExitCode: 1, Lines: []string{"the database is away"}}
	}
	if len(run.Command) == 4 && run.Command[2] == "revoke" {
		g.revoked = append(g.revoked, run.Command[3])
		return fakeaws.TaskEnd{Lines: []string{run.Command[3] + " is revoked"}}
	}
	g.made++
	secret, _ := json.Marshal(map[string]string{"partner_id": "cp_1", "api_key": fmt.Sprintf("pk_test_%d", g.made), "secret_key": fmt.Sprintf("sk_test_%d", g.made)})
	line, err := handover.Seal(run.Command[len(run.Command)-1], secret)
	if err != nil {
		return fakeaws.TaskEnd{ExitCode: 1, Lines: []string{err.Error()}}
	}
	return fakeaws.TaskEnd{Lines: []string{line}}
}

func keeper(t *testing.T, a *enginetest.Account) *secrets.Keeper {
	t.Helper()
	return &secrets.Keeper{Engine: a.Open(t, "dev", "v1"), Tell: func(format string, args ...any) { a.Say(fmt.Sprintf(format, args...)) }}
}

func fields(t *testing.T, a *enginetest.Account, name string) map[string]string {
	t.Helper()
	out := map[string]string{}
	if err := json.Unmarshal([]byte(a.Secret(name)), &out); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return out
}

// From an empty account: entries first, then the stacks, then the partner that needs one of them.
func TestKeep(t *testing.T) {
	t.Parallel()
	a := enginetest.Empty(t)
	g := &gateway{}
	a.Task = g.task
	if _, err := a.Cloud.MakeBucket(t.Context(), map[string]string{"environment": "dev"}); err != nil {
		t.Fatal(err)
	}
	for _, r := range enginetest.Manifest(t).Repositories {
		a.Push(r, "v1")
	}
	if _, err := a.Open(t, "dev", "v1").Plan(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "run mpac deploy secrets --env dev") {
		t.Errorf("a deployment without secrets: %v", err)
	}
	if err := keeper(t, a).Keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	token := fields(t, a, "mpac-obs/dev/otlp-token")["token"]
	if len(token) < 40 {
		t.Errorf("the token has %d characters", len(token))
	}
	for _, sender := range []string{"mpac-smartpos/dev/otlp-token", "mpac-pgw/dev/otlp-token"} {
		if got := fields(t, a, sender)["headers"]; got != "Authorization=Bearer%20"+token {
			t.Errorf("%s does not send what is let in", sender)
		}
	}
	if got := fields(t, a, "mpac-smartpos/dev/pgw-partner"); got["api_key"] != "unset" || !a.Said("waits for pgw") {
		t.Errorf("before pgw is there: %v", got)
	}
	enginetest.Deploy(t, a.Open(t, "dev", "v1"))
	if err := keeper(t, a).Keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := fields(t, a, "mpac-smartpos/dev/pgw-partner"); got["partner_id"] != "cp_1" || got["api_key"] != "pk_test_1" || got["secret_key"] != "sk_test_1" {
		t.Errorf("the partner: %v", got)
	}
	if !strings.HasPrefix(g.ran[0], "partner create --name mpac-smartpos --mode test --form2-only --seal-to ") {
		t.Errorf("it ran %s", g.ran[0])
	}
	if a.Rolls("svc-portal") == 0 {
		t.Error("the services that read the entry were not replaced")
	}
	// Again: what is there stays.
	before := len(a.Journal())
	if err := keeper(t, a).Keep(t.Context()); err != nil || len(a.Journal()) != before {
		t.Errorf("the second time: %v %v", err, a.Journal()[before:])
	}
	if strings.Contains(a.Story(), "sk_test") || strings.Contains(a.Story(), token) {
		t.Errorf("a secret was told: %s", a.Story())
	}
}

func ready(t *testing.T) (*enginetest.Account, *gateway) {
	t.Helper()
	a := enginetest.New(t, "dev")
	g := &gateway{}
	a.Task = g.task
	enginetest.Deploy(t, a.Open(t, "dev", "v1"))
	if err := keeper(t, a).Keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a, g
}

func TestTokenRotationOverlaps(t *testing.T) {
	t.Parallel()
	a, _ := ready(t)
	old := fields(t, a, "mpac-obs/dev/otlp-token")["token"]
	before := len(a.Journal())
	if err := keeper(t, a).RotateToken(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := fields(t, a, "mpac-obs/dev/otlp-token")
	if now["token"] == old || now["previous"] != now["token"] || fields(t, a, "mpac-pgw/dev/otlp-token")["token"] != now["token"] {
		t.Errorf("after: %v", now)
	}
	// The collector first and last, each sender between, and its tasks after its entry.
	var order []string
	for _, line := range a.Journal()[before:] {
		verb, what, _ := strings.Cut(line, " ")
		system := "sender"
		if strings.Contains(what, "obs") {
			system = "collector"
		}
		if step := verb + " " + system; len(order) == 0 || order[len(order)-1] != step {
			order = append(order, step)
		}
	}
	want := "secret collector,roll collector,secret sender,roll sender,secret sender,roll sender,secret collector,roll collector"
	if got := strings.Join(order, ","); got != want {
		t.Errorf("the order was %s", got)
	}
}

// Interrupted in the middle, it does not make a third token: it ends what was begun.
func TestTokenRotationCarriesOn(t *testing.T) {
	t.Parallel()
	a, _ := ready(t)
	a.Deny("ecs:UpdateService", "not now")
	if err := keeper(t, a).RotateToken(t.Context()); err == nil {
		t.Fatal("it went on without rolling")
	}
	half := fields(t, a, "mpac-obs/dev/otlp-token")
	if half["token"] == half["previous"] {
		t.Fatalf("nothing overlaps: %v", half)
	}
	// In between, the plain command leaves both in place.
	a.Deny("ecs:UpdateService", "")
	if err := keeper(t, a).Keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := keeper(t, a).RotateToken(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := fields(t, a, "mpac-obs/dev/otlp-token"); now["token"] != half["token"] || now["previous"] != half["token"] || !a.Said("carrying it on") {
		t.Errorf("after: %v", now)
	}
}

func TestPartnerRotationOverlaps(t *testing.T) {
	t.Parallel()
	a, g := ready(t)
	g.broken = true
	if err := keeper(t, a).RotatePartner(t.Context(), "pgw-partner"); err == nil || !strings.Contains(err.Error(), "the database is away") {
		t.Fatalf("got %v", err)
	}
	g.broken = false
	a.Deny("ecs:UpdateService", "not now")
	if err := keeper(t, a).RotatePartner(t.Context(), "pgw-partner"); err == nil {
		t.Fatal("it went on without rolling")
	}
	if len(g.revoked) != 0 {
		t.Errorf("revoked before everybody had the new key: %v", g.revoked)
	}
	a.Deny("ecs:UpdateService", "")
	if err := keeper(t, a).RotatePartner(t.Context(), "pgw-partner"); err != nil {
		t.Fatal(err)
	}
	got := fields(t, a, "mpac-smartpos/dev/pgw-partner")
	if got["api_key"] != "pk_test_2" || got["previous_api_key"] != "" || len(g.revoked) != 1 || g.revoked[0] != "pk_test_1" {
		t.Errorf("%v, revoked %v", got, g.revoked)
	}
}
