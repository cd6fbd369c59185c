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
		got := fields(t, a, sender)
		if got["headers"] != "Authorization=Bearer%20"+token+",X-Mpac-Otlp-Authorization=Bearer%20"+token || got["authorization"] != "Bearer "+token || got["authorization_other"] != "Bearer "+token {
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

// alloy is what the collector's tasks let in: what their entry said when they were last replaced.
type alloy struct{ token, header string }

// lets says whether it takes what a sender's tasks have, as the exporter writes its headers.
func (l alloy) lets(headers string) bool {
	for pair := range strings.SplitSeq(headers, ",") {
		if pair == l.header+"=Bearer%20"+l.token {
			return true
		}
	}
	return false
}

// watch follows who has what: tasks have what their entry said when they were last replaced. Nobody may be refused at any time.
func watch(t *testing.T, a *enginetest.Account) (look func(), now func() (alloy, map[string]string)) {
	t.Helper()
	collector := func() alloy {
		f := fields(t, a, "mpac-obs/dev/otlp-token")
		return alloy{f["token"], f["header"]}
	}
	running, tasks := collector(), map[string]string{}
	senders := []string{"mpac-smartpos/dev/otlp-token", "mpac-pgw/dev/otlp-token"}
	for _, s := range senders {
		tasks[s] = fields(t, a, s)["headers"]
	}
	seen := len(a.Journal())
	return func() {
		for _, line := range a.Journal()[seen:] {
			seen++
			verb, what, _ := strings.Cut(line, " ")
			if verb != "roll" {
				continue
			}
			switch {
			case strings.Contains(what, "obs"):
				running = collector()
			case strings.Contains(what, "pgw"):
				tasks[senders[1]] = fields(t, a, senders[1])["headers"]
			default:
				tasks[senders[0]] = fields(t, a, senders[0])["headers"]
			}
			for s, has := range tasks {
				if !running.lets(has) {
					t.Errorf("after %q what %s sends is refused", line, s)
				}
			}
		}
	}, func() (alloy, map[string]string) { return running, tasks }
}

func TestTokenRotationOverlaps(t *testing.T) {
	t.Parallel()
	a, _ := ready(t)
	for range 2 { // there and back: the headers take turns
		before := fields(t, a, "mpac-obs/dev/otlp-token")
		look, now := watch(t, a)
		k := keeper(t, a)
		tell := k.Tell
		k.Tell = func(format string, args ...any) { look(); tell(format, args...) }
		began := len(a.Journal())
		if err := k.RotateToken(t.Context()); err != nil {
			t.Fatal(err)
		}
		look()
		after := fields(t, a, "mpac-obs/dev/otlp-token")
		if after["token"] == before["token"] || after["header"] == before["header"] || after["next"] != "" {
			t.Errorf("before %v, after %v", before, after)
		}
		collector, tasks := now()
		for sender, has := range tasks {
			if strings.Contains(has, before["token"]) || !collector.lets(has) {
				t.Errorf("%s still has the old token, or not the new one", sender)
			}
		}
		if collector.lets("Authorization=Bearer%20" + before["token"] + ",X-Mpac-Otlp-Authorization=Bearer%20" + before["token"]) {
			t.Error("the old token is still let in")
		}
		// The senders first and last, the collector between, and tasks after their entry.
		var order []string
		for _, line := range a.Journal()[began:] {
			verb, what, _ := strings.Cut(line, " ")
			system := "sender"
			if strings.Contains(what, "obs") {
				system = "collector"
			}
			if step := verb + " " + system; len(order) == 0 || order[len(order)-1] != step {
				order = append(order, step)
			}
		}
		senders := "secret sender,roll sender,secret sender,roll sender"
		want := "secret collector," + senders + ",secret collector,roll collector," + senders + ",secret collector"
		if got := strings.Join(order, ","); got != want {
			t.Errorf("the order was %s", got)
		}
	}
}

// Interrupted anywhere, it does not make a third token: it ends what was begun, and refuses nobody.
func TestTokenRotationCarriesOn(t *testing.T) {
	t.Parallel()
	for rolls := range 3 { // denied at the first roll of senders, of the collector, of senders again
		a, _ := ready(t)
		look, now := watch(t, a)
		k := keeper(t, a)
		tell, told := k.Tell, 0
		k.Tell = func(format string, args ...any) {
			look()
			if tell(format, args...); strings.HasPrefix(format, "the senders have") || strings.HasPrefix(format, "the collector lets") {
				told++
			}
			if told == rolls {
				a.Deny("ecs:UpdateService", "not now")
			}
		}
		if rolls == 0 {
			a.Deny("ecs:UpdateService", "not now")
		}
		if err := k.RotateToken(t.Context()); err == nil {
			t.Fatal("it went on without rolling")
		}
		half := fields(t, a, "mpac-obs/dev/otlp-token")
		if half["next"] == "" {
			t.Fatalf("nothing overlaps: %v", half)
		}
		// In between, the plain command leaves all of it in place.
		a.Deny("ecs:UpdateService", "")
		k = keeper(t, a)
		k.Tell = func(format string, args ...any) { look(); tell(format, args...) }
		if err := k.Keep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := k.RotateToken(t.Context()); err != nil {
			t.Fatal(err)
		}
		look()
		collector, _ := now()
		if after := fields(t, a, "mpac-obs/dev/otlp-token"); after["token"] != half["next"] || after["next"] != "" || collector.token != half["next"] || !a.Said("carrying it on") {
			t.Errorf("after: %v", after)
		}
	}
}

// Entries of before there were two headers get the second one, without another token.
func TestTokensOfBefore(t *testing.T) {
	t.Parallel()
	a, _ := ready(t)
	k := keeper(t, a)
	for name, old := range map[string]map[string]string{
		"mpac-obs/dev/otlp-token":      {"token": "old", "previous": "old"},
		"mpac-smartpos/dev/otlp-token": {"token": "old", "headers": "Authorization=Bearer%20old"},
	} {
		if err := k.Engine.Cloud.PutSecret(t.Context(), name, "", old, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := fields(t, a, "mpac-obs/dev/otlp-token"); got["token"] != "old" || got["header"] != "Authorization" {
		t.Errorf("the collector's: %v", got)
	}
	if got := fields(t, a, "mpac-smartpos/dev/otlp-token"); got["headers"] != "Authorization=Bearer%20old,X-Mpac-Otlp-Authorization=Bearer%20old" || got["authorization_other"] != "Bearer old" {
		t.Errorf("a sender's: %v", got)
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
