package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// receiver keeps what is said of spans: their name, status and attributes; and the paths of all exports.
type receiver struct {
	mu    sync.Mutex
	spans []string
	paths []string
}

func (r *receiver) ServeHTTP(_ http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paths = append(r.paths, request.URL.Path)
	var export collector.ExportTraceServiceRequest
	if request.URL.Path != "/v1/traces" || proto.Unmarshal(body, &export) != nil {
		return
	}
	for _, resource := range export.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				text := fmt.Sprintf("%s [%s]", span.GetName(), span.GetStatus().GetMessage())
				for _, a := range span.GetAttributes() {
					if a.GetKey() == "exit_code" {
						text += fmt.Sprint(" exit ", a.GetValue().GetIntValue())
					}
				}
				r.spans = append(r.spans, text)
			}
		}
	}
}

type leftover struct{}

func (leftover) Error() string { return "two are open" }
func (leftover) ExitCode() int { return 2 }

func commands(ran *[]string) Service[struct{}] {
	command := func(name string, err error, annotations ...string) *cobra.Command {
		c := &cobra.Command{Use: name, Annotations: map[string]string{}, RunE: func(cmd *cobra.Command, _ []string) error {
			*ran = append(*ran, cmd.CommandPath())
			return err
		}}
		for _, a := range annotations {
			c.Annotations[a] = ""
		}
		return c
	}
	group := &cobra.Command{Use: "partner"}
	group.AddCommand(command("create", nil), command("revoke", errors.New("no key password=hunter2hunter2")))
	return Service[struct{}]{Name: "svc", Commands: []*cobra.Command{group, command("retry", nil, Counts), command("run", leftover{}, Job), command("render", nil, Untraced)}}
}

// Each run of a command is a span of its name, with its failure and without secrets; one that is over at once sends no metrics.
//
//nolint:paralleltest // the environment is the process's
func TestACommandIsASpan(t *testing.T) {
	r := &receiver{}
	server := httptest.NewServer(r)
	defer server.Close()
	var ran []string
	run := func(args string) {
		root := commands(&ran).Command()
		root.SetArgs(strings.Fields(args))
		_ = root.ExecuteContext(context.Background()) // what it says is in the span
	}
	for _, args := range []string{"partner create", "partner revoke", "run", "render"} {
		run(args)
	}
	if len(r.paths) != 0 {
		t.Fatalf("nothing was asked for, and %v was sent", r.paths)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	for _, args := range []string{"partner create", "partner revoke", "render"} {
		run(args)
	}
	if slices.Contains(r.paths, "/v1/metrics") {
		t.Error("a short command sends metrics")
	}
	run("retry")
	if !slices.Contains(r.paths, "/v1/metrics") {
		t.Error("a command that counts sends no metrics")
	}
	r.paths = nil
	run("run")
	want := []string{"svc partner create []", "svc partner revoke [no key password=[redacted]]", "svc retry []", "svc run [] exit 2"}
	if !slices.Equal(r.spans, want) {
		t.Errorf("got %q, want %q", r.spans, want)
	}
	if !slices.Contains(r.paths, "/v1/metrics") {
		t.Error("a job sends no metrics")
	}
	if len(ran) != 9 {
		t.Errorf("ran %v", ran)
	}
	server.Close() // a receiver that is away
	run("partner create")
	if len(ran) != 10 {
		t.Error("without a receiver the command does not run")
	}
}
