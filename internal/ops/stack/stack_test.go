package stack

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mpac-cloud/mpac/internal/ops/local"
)

const repository = "../../.."

// What mpac up fills in must be what obs/expand.sh fills in where containers run: the files are the same.
func TestExpandDoesWhatTheContainersDo(t *testing.T) {
	t.Parallel()
	vars := (&Stack{}).variables(local.Dir(t.TempDir()), local.PortsFrom(9000))
	for _, name := range []string{"prometheus/prometheus.yml", "alertmanager/alertmanager.yml", "alertmanager/contacts-webhook.yml"} {
		text, err := os.ReadFile(filepath.Join(repository, "obs", name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := expand(string(text), vars)
		if err != nil {
			t.Fatal(err)
		}
		script := exec.CommandContext(t.Context(), "./expand.sh", name)
		script.Dir = filepath.Join(repository, "obs")
		script.Env = []string{"PATH=" + os.Getenv("PATH")}
		for k := range maps.Keys(vars) {
			script.Env = append(script.Env, k+"="+vars[k])
		}
		want, err := script.Output()
		if err != nil {
			t.Fatalf("%v", err)
		}
		if diff := cmp.Diff(uncommented(string(want)), uncommented(got)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func uncommented(text string) []string {
	return slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool { return strings.HasPrefix(strings.TrimSpace(l), "#") })
}

func TestExpandRefusesWhatIsNotSet(t *testing.T) {
	t.Parallel()
	if _, err := expand("a: ${NOT_SET}\n# ${A_COMMENT}\n", nil); err == nil || !strings.Contains(err.Error(), "NOT_SET") {
		t.Errorf("got %v", err)
	}
}

func TestFindSaysHowToGetTheStack(t *testing.T) {
	t.Setenv("MPAC_OBS_CACHE", t.TempDir())
	bin, err := filepath.Abs(filepath.Join(repository, "bin"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Find(bin); !errors.Is(err, ErrNotBuilt) || !strings.Contains(err.Error(), "make obs") {
		t.Errorf("got %v", err)
	}
	if _, err := Find(filepath.Join(t.TempDir(), "bin")); !errors.Is(err, ErrNotBuilt) {
		t.Errorf("without obs/: got %v", err)
	}
}

func TestPageHandsOverAllButTheWatchdog(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	heard := make(chan string, 4)
	ended := make(chan error, 1)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		ended <- pageOn(ctx, l, func(contact string, a Alert) { heard <- contact + " " + a.Labels["alertname"] })
	}()
	post := func(contact, body string) int {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+l.Addr().String()+"/"+contact, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	message := `{"alerts":[{"status":"firing","labels":{"alertname":"X"}}]}`
	if got := []int{post("watchdog", message), post("page", "?"), post("page", message)}; !slices.Equal(got, []int{200, 400, 200}) {
		t.Errorf("answers %v", got)
	}
	if got := <-heard; got != "page X" {
		t.Errorf("heard %q", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
