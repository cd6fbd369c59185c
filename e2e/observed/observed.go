// Package observed gives a test a whole platform with the real Prometheus, Alertmanager, Loki and Collector beside it, their
// questions, and the telephone on which their alerts arrive.
package observed

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/e2e/platform"
	"github.com/mpac-cloud/mpac/internal/ops/stack"
)

// Stack is a platform that runs with the observability stack.
type Stack struct {
	*platform.Platform
	Prometheus, Loki, Alertmanager string // base addresses
	Pages                          *Pages
	variables                      []string
}

// Start runs a platform with the stack, and waits until Prometheus and Loki answer. variables are as platform.Start takes them.
func Start(t testing.TB, variables ...string) *Stack {
	t.Helper()
	s := &Stack{Pages: &Pages{}}
	pager := s.Pages.serve(t)
	s.variables = append([]string{
		"MPAC_OBS=on", "MPAC_OBS_ALERT_PAGE_URL=" + pager + "/page", "MPAC_OBS_ALERT_TICKET_URL=" + pager + "/ticket", "MPAC_OBS_ALERT_WATCHDOG_URL=" + pager + "/watchdog",
	}, variables...)
	s.Platform = platform.Start(t, s.variables...)
	s.Prometheus, s.Loki, s.Alertmanager = s.Env("MPAC_PROMETHEUS_URL"), s.Env("MPAC_LOKI_URL"), s.Env("MPAC_ALERTMANAGER_URL")
	s.answers(t)
	return s
}

// Again starts the platform after Stop, as Start did.
func (s *Stack) Again(t testing.TB) {
	t.Helper()
	s.Up(s.variables...)
	s.answers(t)
}

func (s *Stack) answers(t testing.TB) {
	t.Helper()
	s.Eventually(60*time.Second, "Prometheus, Alertmanager and Loki answer", func() bool {
		_, err := s.PromQL(t.Context(), "vector(1)")
		_, err2 := s.LogQL(t.Context(), `{service_namespace="mpac"}`)
		return err == nil && err2 == nil && s.Child("alertmanager").Ready && s.Child("prometheus").Ready
	})
}

// Refuse has the telephone of a contact refuse what comes, or take it again.
func (p *Pages) Refuse(contact string, refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refused == nil {
		p.refused = map[string]bool{}
	}
	p.refused[contact] = refuse
}

// Last is when a contact heard something last.
func (p *Pages) Last(contact string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last[contact]
}

// Told is an objection while the newest word of an alert that came to a contact is not the status, or the page does not explain
// itself.
func (s *Stack) Told(contact, name, status string) error {
	a, heard := s.Pages.Of(contact, name)
	if !heard || a.Status != status {
		return fmt.Errorf("heard %v, %q", heard, a.Status)
	}
	if a.Annotations["meaning"] == "" || !strings.HasSuffix(a.Annotations["runbook_url"], "/"+name+".md") {
		return fmt.Errorf("the page does not explain itself: %v", a.Annotations)
	}
	return nil
}

// Pages are what the people who are paged hear.
type Pages struct {
	mu      sync.Mutex
	heard   []stack.Alert
	refused map[string]bool
	last    map[string]time.Time
}

func (p *Pages) serve(t testing.TB) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{contact}", func(w http.ResponseWriter, r *http.Request) {
		var message struct {
			Alerts []stack.Alert `json:"alerts"`
		}
		_ = json.NewDecoder(r.Body).Decode(&message)
		if !p.take(r.PathValue("contact"), message.Alerts) {
			http.Error(w, "refused", http.StatusForbidden)
		}
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return "http://" + l.Addr().String()
}

func (p *Pages) take(contact string, alerts []stack.Alert) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refused[contact] {
		return false
	}
	if p.last == nil {
		p.last = map[string]time.Time{}
	}
	p.last[contact] = time.Now()
	for _, a := range alerts {
		a.Labels["contact"] = contact
		p.heard = append(p.heard, a)
	}
	return true
}

// Of returns the newest word of an alert that came to a contact.
func (p *Pages) Of(contact, name string) (stack.Alert, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range slices.Backward(p.heard) {
		if a.Labels["alertname"] == name && a.Labels["contact"] == contact {
			return a, true
		}
	}
	return stack.Alert{}, false
}
