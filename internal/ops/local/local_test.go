package local

import (
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/internal/ops/supervise"
)

func platform(t *testing.T) *Platform {
	t.Helper()
	p, err := NewPlatform(21000, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The names are a promise: scripts are written against them.
func TestEnvironmentNames(t *testing.T) {
	t.Parallel()
	want := []string{
		"MPAC_EDGE_URL", "MPAC_PORTAL_URL", "MPAC_SMARTTAB_URL", "MPAC_PGW_URL", "MPAC_SANDBOX_URL", "MPAC_SANDBOX_PAYPAY_URL",
		"MPAC_PGW_API_KEY", "MPAC_PGW_SECRET_KEY", "MPAC_PGW_MERCHANT_ID", "MPAC_PGW_STORE_ID", "MPAC_PAYPAY_API_KEY",
		"MPAC_PAYPAY_API_SECRET", "MPAC_PAYPAY_MERCHANT_ID", "MPAC_SMARTPOS_DATABASE_URL", "MPAC_PGW_DATABASE_URL", "MPAC_REDIS_URL", "MPAC_OTLP_URL", "MPAC_PROMETHEUS_URL", "MPAC_ALERTMANAGER_URL", "MPAC_LOKI_URL",
		"MPAC_ADMIN_EMAIL", "MPAC_ADMIN_PASSWORD", "MPAC_ADMIN_TOTP_SECRET", "MPAC_MERCHANT_ID", "MPAC_STORE_ID",
		"MPAC_TERMINAL_CLIENT_ID", "MPAC_TERMINAL_KEY_FILE",
	}
	var got []string
	for _, v := range Dir("/x").Environment(platform(t)) {
		got = append(got, v.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Whatever is in a value, a shell reads it back.
func TestQuotingSurvivesAShell(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringMatching(`[ -~\n日本]{0,20}`).Draw(t, "value")
		out, err := exec.Command("/bin/sh", "-c", Variable{"V", value}.Line()+"\nprintf %s \"$V\"").Output()
		if err != nil || string(out) != value {
			t.Fatalf("%q came back as %q (%v)", value, out, err)
		}
	})
}

func TestSecretsAreOfThisPlatformAlone(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 2 {
		p := platform(t)
		secrets := []string{
			p.PostgresPassword, p.RedisPassword, p.Operator.Password, p.Operator.TOTPSecret, p.Admin.Password, p.PayPay.APIKey, p.PayPay.APISecret,
			p.Seed.Owner.Password, p.Seed.Staff.Password,
		}
		for _, role := range p.RolePasswords {
			secrets = append(secrets, role)
		}
		for _, s := range secrets {
			if len(s) < 20 || seen[s] {
				t.Errorf("%q is short or used twice", s)
			}
			seen[s] = true
		}
	}
}

func TestStateSurvives(t *testing.T) {
	t.Parallel()
	d := Dir(t.TempDir())
	if _, known, err := d.Load(); known || err != nil {
		t.Fatalf("an empty folder: %v, %v", known, err)
	}
	p := platform(t)
	p.Seed.Smartpos = Partner{ID: "cp_1", APIKey: "pk_test_1", SecretKey: "sk_test_1"}
	if err := d.Save(p); err != nil {
		t.Fatal(err)
	}
	got, known, err := d.Load()
	if diff := cmp.Diff(p, got); !known || err != nil || diff != "" {
		t.Errorf("%v, %v, %s", known, err, diff)
	}
	info, err := os.Stat(d.Path("platform.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secrets' file: %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(d.Path("platform.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Load(); err == nil || !strings.Contains(err.Error(), "--fresh") {
		t.Errorf("a damaged file: %v", err)
	}
}

func TestOneSupervisorAFolder(t *testing.T) {
	t.Parallel()
	d := Dir(t.TempDir())
	if d.Supervisor() != 0 {
		t.Fatal("somebody runs in an empty folder")
	}
	lock, err := d.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Supervisor(); got != os.Getpid() {
		t.Errorf("the supervisor is %d", got)
	}
	if _, err := d.Lock(); err == nil || !strings.Contains(err.Error(), "mpac down") {
		t.Errorf("a second one: %v", err)
	}
	if err := d.Fresh(); err == nil || !strings.Contains(err.Error(), "mpac down") {
		t.Errorf("--fresh while it runs: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if d.Supervisor() != 0 {
		t.Error("the lock outlived its holder")
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	d := Dir(t.TempDir())
	if _, err := d.Status(); err == nil || !strings.Contains(err.Error(), "mpac up") {
		t.Errorf("nothing runs: %v", err)
	}
	lock, err := d.Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	want := Status{Supervisor: os.Getpid(), Ready: true, Children: []Child{{State: supervise.State{Name: "redis", PID: 7, Ready: true}, Port: 9}}}
	if err := d.WriteStatus(want); err != nil {
		t.Fatal(err)
	}
	got, err := d.Status()
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	want.Supervisor++ // what a killed predecessor left
	if err := d.WriteStatus(want); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Status(); err != nil || got.Ready {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestFreshLeavesStrangersFilesAlone(t *testing.T) {
	t.Parallel()
	d := Dir(t.TempDir())
	if err := d.folders(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"notes.txt", "platform.json"} {
		if err := os.WriteFile(d.Path(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Fresh(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(string(d))
	if err != nil || len(left) != 1 || left[0].Name() != "notes.txt" {
		t.Errorf("%v, %v", left, err)
	}
}

func TestBusyPortIsNamed(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	port := l.Addr().(*net.TCPAddr).Port
	err = CheckPorts([]Use{{"svc-portal", port}})
	for _, said := range []string{strconv.Itoa(port), "svc-portal", "local.test (pid " + strconv.Itoa(os.Getpid()), "--port-base"} {
		if err == nil || !strings.Contains(err.Error(), said) {
			t.Errorf("%q is missing in: %v", said, err)
		}
	}
	if err := CheckPorts(nil); err != nil {
		t.Errorf("no port: %v", err)
	}
}

func TestPortsAreApart(t *testing.T) {
	t.Parallel()
	p := platform(t)
	seen := map[int]string{}
	for _, u := range p.Uses() {
		if other := seen[u.Port]; other != "" {
			t.Errorf("%s and %s share %d", u.What, other, u.Port)
		}
		seen[u.Port] = u.What
	}
	if len(seen) != 9 {
		t.Errorf("%d ports", len(seen))
	}
	p.SmartposDatabaseURL, p.PGWDatabaseURL, p.RedisURL = "postgres://a@b/c", "postgres://a@b/d", "redis://e"
	if len(p.Uses()) != 7 {
		t.Errorf("given servers need no ports: %v", p.Uses())
	}
}

func TestDatabaseURLs(t *testing.T) {
	t.Parallel()
	p := platform(t)
	p.RolePasswords["svc_portal"] = "p/w"
	if got := p.DatabaseURL(Smartpos, "svc_portal"); got != "postgres://svc_portal:p%2Fw@127.0.0.1:21432/mpacdb?sslmode=disable" {
		t.Error(got)
	}
	p.SmartposDatabaseURL, p.PGWDatabaseURL = "postgres://own:x@db.example/a?sslmode=require", "postgres://own:x@db.example/b"
	if got := p.DatabaseURL(Smartpos, "svc_portal"); got != "postgres://svc_portal:p%2Fw@db.example/a?sslmode=require" {
		t.Error(got)
	}
	if got := p.DatabaseURL(Smartpos, Smartpos.Owner); got != p.SmartposDatabaseURL {
		t.Error(got)
	}
}

func TestGivenURLsAreChecked(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]Platform{
		"one of two":      {SmartposDatabaseURL: "postgres://a:hunter2@b/c"},
		"another scheme":  {SmartposDatabaseURL: "mysql://a:hunter2@b/c", PGWDatabaseURL: "postgres://a@b/c"},
		"no address":      {RedisURL: "hunter2"},
		"not even an URL": {SmartposDatabaseURL: "postgres://a:hunter2@b:x:y/c", PGWDatabaseURL: "postgres://a@b/c"},
	} {
		err := p.CheckURLs()
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
