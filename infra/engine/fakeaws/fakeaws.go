// Package fakeaws plays AWS over HTTP for tests: the whole of what the deploy engine asks of CloudFormation, and the few calls of ECS,
// ECR, S3, Secrets Manager, CloudWatch, CloudWatch Logs, STS and IAM. It reads the templates themselves: parameters, conditions,
// references and attributes are resolved as AWS does, and what AWS would refuse is refused. It keeps nothing on disk.
package fakeaws

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Fake is one account in one region.
type Fake struct {
	Account, Region string
	// Task decides what a one-off task does; nil: all exit with 0.
	Task func(TaskRun) TaskEnd
	// Figure is what CloudWatch measured of a target group in the minute of a time; nil: nothing.
	Figure func(targetGroup, metric, statistic string, minute time.Time) float64
	// Steps is how far an operation gets each time somebody asks for its events; 0: a dozen resources.
	Steps int
	// Retained are the resources that outlived their stacks, as stack/resource.
	Retained []string

	mu        sync.Mutex
	now       func() time.Time
	ids       int
	stacks    []*stack // also those that were deleted
	sets      map[string]*changeSet
	failures  map[string]string
	log       []string
	services  map[string]*ecsService
	tasks     map[string]*ecsTask
	lines     map[string][]string // log group/stream
	images    map[string]map[string]string
	buckets   map[string]*s3bucket
	secrets   map[string]*secret
	roles     map[string]*role
	providers map[string]string
	denied    map[string]string
}

// New makes an empty account whose time is told by now.
func New(now func() time.Time) *Fake {
	return &Fake{
		Account: "123456789012", Region: "ap-northeast-1", now: now,
		sets: map[string]*changeSet{}, failures: map[string]string{}, services: map[string]*ecsService{}, tasks: map[string]*ecsTask{},
		lines: map[string][]string{}, images: map[string]map[string]string{}, buckets: map[string]*s3bucket{}, secrets: map[string]*secret{},
		roles: map[string]*role{}, providers: map[string]string{}, denied: map[string]string{},
	}
}

// Fail lets a resource fail the next time that it is touched.
func (f *Fake) Fail(stack, logical, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures[stack+"/"+logical] = reason
}

// Deny lets every call of an action, such as cloudformation:CreateChangeSet, be refused.
func (f *Fake) Deny(action, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.denied[action] = reason
}

// Journal is what was done, in order: "create mpac-pgw-dev", "task mpac-pgw-dev-Migrate...", and so on.
func (f *Fake) Journal() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log)
}

// Parameters are a stack's; nil when there is no such stack.
func (f *Fake) Parameters(stack string) map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ParametersLocked(stack)
}

// ParametersLocked is Parameters for Task, which is called in the middle of a request.
func (f *Fake) ParametersLocked(stack string) map[string]string {
	s := f.find(stack)
	if s == nil {
		return nil
	}
	sc := &scope{t: s.t}
	if err := sc.bind(s.parameters); err != nil {
		return s.parameters
	}
	return written(sc.parameters)
}

// Status is a stack's; "" when there is no such stack.
func (f *Fake) Status(stack string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.find(stack); s != nil {
		return s.status
	}
	return ""
}

// Tamper changes a property of a resource behind CloudFormation's back.
func (f *Fake) Tamper(stack, logical, property string, value any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.find(stack)
	if s == nil || s.resources[logical] == nil {
		return fmt.Errorf("there is no %s in %s", logical, stack)
	}
	r := s.resources[logical]
	if r.outside == nil {
		r.outside = map[string]any{}
	}
	r.outside[property] = value
	return nil
}

// SetBusy gives a stack a state, such as UPDATE_ROLLBACK_FAILED.
func (f *Fake) SetBusy(stack, status string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.find(stack); s != nil {
		s.status = status
	}
}

func (f *Fake) journal(format string, args ...any) {
	f.log = append(f.log, fmt.Sprintf(format, args...))
}

func (f *Fake) next() int { f.ids++; return f.ids }

// find looks for a stack by its name or id; one that was deleted is found by its id only.
func (f *Fake) find(nameOrID string) *stack {
	for _, s := range slices.Backward(f.stacks) {
		if s.id == nameOrID || s.name == nameOrID && s.status != "DELETE_COMPLETE" {
			return s
		}
	}
	return nil
}

// written are parameters as DescribeStacks shows them.
func written(bound map[string]any) map[string]string {
	out := map[string]string{}
	for name, v := range bound {
		switch v := v.(type) {
		case string:
			out[name] = v
		case []any:
			parts := make([]string, len(v))
			for i, p := range v {
				parts[i] = fmt.Sprint(p)
			}
			out[name] = strings.Join(parts, ",")
		}
	}
	return out
}

var credential = regexp.MustCompile(`Credential=[^/]+/\d{8}/([^/]+)/([^/]+)/aws4_request`)

// ServeHTTP answers as the service that the request was signed for.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	match := credential.FindStringSubmatch(r.Header.Get("Authorization"))
	if match == nil {
		http.Error(w, "the request is not signed", http.StatusForbidden)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch service := match[2]; service {
	case "cloudformation", "sts", "iam":
		f.serveQuery(w, r, service)
	case "ecs", "ecr", "secretsmanager", "logs":
		f.serveJSON(w, r, service)
	case "monitoring":
		f.serveFigures(w, r)
	case "s3":
		f.serveS3(w, r)
	default:
		http.Error(w, "fakeaws does not play "+service, http.StatusNotImplemented)
	}
}
