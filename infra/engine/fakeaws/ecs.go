package fakeaws

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// TaskRun is a one-off task that was started.
type TaskRun struct {
	Cluster, Definition, Container string
	Command                        []string
	Environment                    map[string]string // of the container, as its definition says
	Image, StartedBy               string
}

// TaskEnd is how it ended.
type TaskEnd struct {
	ExitCode int
	Lines    []string // what it said
	Broken   string   // why it never ran; then there is no exit code
}

type ecsService struct {
	arn, cluster, name string
	desired            int
	set                *int // what a test says is running
	rolls              int
	failed             string
}

type ecsTask struct {
	arn, container string
	end            TaskEnd
	polls          int
}

// service notes a service that a stack has made or changed.
func (f *Fake) service(r *resource) {
	arn := fmt.Sprint(r.ref())
	s := f.services[arn]
	if s == nil {
		cluster, _ := r.properties["Cluster"].(string)
		s = &ecsService{arn: arn, name: r.format("{name}"), cluster: cluster[strings.LastIndex(cluster, "/")+1:], desired: 1}
		f.services[arn] = s
	}
	if count, err := strconv.Atoi(fmt.Sprint(r.properties["DesiredCount"])); err == nil {
		s.desired = count
	}
}

// running is how many tasks a service has: what scaling makes of what was asked for.
func (f *Fake) running(s *ecsService) int {
	if s.set != nil {
		return *s.set
	}
	n := s.desired
	for _, st := range f.stacks {
		for _, r := range st.resources {
			id, _ := r.properties["ResourceId"].(string)
			if r.kind != "AWS::ApplicationAutoScaling::ScalableTarget" || !strings.HasSuffix(id, "/"+s.name) {
				continue
			}
			if least, err := strconv.Atoi(fmt.Sprint(r.properties["MinCapacity"])); err == nil {
				n = max(n, least)
			}
			if most, err := strconv.Atoi(fmt.Sprint(r.properties["MaxCapacity"])); err == nil {
				n = min(n, most)
			}
		}
	}
	return n
}

// SetRunning says how many tasks of a service run, as scaling might have made them.
func (f *Fake) SetRunning(service string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.services {
		if s.name == service {
			s.set = &n
		}
	}
}

// Rolls is how often the tasks of services whose name has this part were replaced on request.
func (f *Fake) Rolls(service string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, s := range f.services {
		if strings.Contains(s.name, service) {
			n += s.rolls
		}
	}
	return n
}

func (f *Fake) ecs(action string, in map[string]any) (any, error) {
	switch action {
	case "RunTask":
		return f.runTask(in)
	case "DescribeTasks":
		var out []any
		for _, arn := range list(in["tasks"]) {
			if t := f.tasks[fmt.Sprint(arn)]; t != nil {
				out = append(out, t.describe())
			}
		}
		return map[string]any{"tasks": out}, nil
	case "DescribeServices":
		var out []any
		for _, name := range list(in["services"]) {
			if s := f.findService(fmt.Sprint(name)); s != nil {
				out = append(out, f.describeService(s))
			}
		}
		return map[string]any{"services": out}, nil
	case "UpdateService":
		s := f.findService(fmt.Sprint(in["service"]))
		if s == nil {
			return nil, refuse("ServiceNotFoundException", "Service not found.")
		}
		s.rolls++
		f.journal("roll %s", s.name)
		return map[string]any{"service": f.describeService(s)}, nil
	}
	return nil, refuse("InvalidAction", "fakeaws does not play ecs:%s", action)
}

func (f *Fake) findService(nameOrARN string) *ecsService {
	for _, s := range f.services {
		if s.name == nameOrARN || s.arn == nameOrARN {
			return s
		}
	}
	return nil
}

func (f *Fake) describeService(s *ecsService) any {
	n := f.running(s)
	return map[string]any{
		"serviceName": s.name, "serviceArn": s.arn, "status": "ACTIVE", "desiredCount": n, "runningCount": n, "pendingCount": 0,
		"deployments": []any{map[string]any{"status": "PRIMARY", "rolloutState": firstText(s.failed, "COMPLETED")}},
	}
}

var takenAsStartedBy = regexp.MustCompile(`^[A-Za-z0-9/_-]{0,128}$`)

// runTask looks the definition up among the stacks' resources: what no stack made can't be run.
func (f *Fake) runTask(in map[string]any) (any, error) {
	definition := f.resourceByRef("AWS::ECS::TaskDefinition", fmt.Sprint(in["taskDefinition"]))
	if definition == nil {
		return nil, refuse("ClientException", "TaskDefinition not found: %v", in["taskDefinition"])
	}
	cluster := f.resourceByRef("AWS::ECS::Cluster", fmt.Sprint(in["cluster"]))
	if cluster == nil {
		return nil, refuse("ClusterNotFoundException", "Cluster not found.")
	}
	if by, given := in["startedBy"].(string); given && !takenAsStartedBy.MatchString(by) {
		return nil, refuse("InvalidParameterException", "startedBy %q: up to 128 letters, numbers, hyphens, forward slashes and underscores", by)
	}
	network := object(object(in["networkConfiguration"])["awsvpcConfiguration"])
	for kind, ids := range map[string]any{"AWS::EC2::Subnet": network["subnets"], "AWS::EC2::SecurityGroup": network["securityGroups"]} {
		if len(list(ids)) == 0 {
			return nil, refuse("InvalidParameterException", "no %s given", kind)
		}
		for _, id := range list(ids) {
			if f.resourceByRef(kind, fmt.Sprint(id)) == nil {
				return nil, refuse("InvalidParameterException", "%s %v does not exist", kind, id)
			}
		}
	}
	run := TaskRun{StartedBy: fmt.Sprint(in["startedBy"]), Cluster: cluster.format("{name}"), Definition: definition.logical, Environment: map[string]string{}}
	containers := list(definition.properties["ContainerDefinitions"])
	if len(containers) > 0 {
		run.Container = fmt.Sprint(object(containers[0])["Name"])
	}
	for _, o := range list(object(in["overrides"])["containerOverrides"]) {
		run.Container = fmt.Sprint(object(o)["name"])
		for _, word := range list(object(o)["command"]) {
			run.Command = append(run.Command, fmt.Sprint(word))
		}
	}
	i := slices.IndexFunc(containers, func(c any) bool { return object(c)["Name"] == run.Container })
	if i < 0 {
		return nil, refuse("InvalidParameterException", "Override for container named %s is not a container in the TaskDefinition.", run.Container)
	}
	run.Image = fmt.Sprint(object(containers[i])["Image"])
	for _, e := range list(object(containers[i])["Environment"]) {
		run.Environment[fmt.Sprint(object(e)["Name"])] = fmt.Sprint(object(e)["Value"])
	}
	f.journal("task %s %s", definition.stack.name, definition.logical)
	t := &ecsTask{arn: fmt.Sprintf("arn:aws:ecs:%s:%s:task/%s/%032x", f.Region, f.Account, run.Cluster, f.next()), container: run.Container}
	if f.Task != nil {
		t.end = f.Task(run)
	}
	f.tasks[t.arn] = t
	f.keepLines(object(containers[i]), t)
	return map[string]any{"tasks": []any{t.describe()}, "failures": []any{}}, nil
}

// keepLines puts what a task said where its definition says that it goes.
func (f *Fake) keepLines(container map[string]any, t *ecsTask) {
	options := object(object(container["LogConfiguration"])["Options"])
	group, prefix := fmt.Sprint(options["awslogs-group"]), fmt.Sprint(options["awslogs-stream-prefix"])
	f.lines[group+":"+prefix+"/"+t.container+"/"+t.arn[strings.LastIndex(t.arn, "/")+1:]] = t.end.Lines
}

// Logs are all lines that tasks have said, as they are in CloudWatch.
func (f *Fake) Logs() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for _, stream := range slices.Sorted(maps.Keys(f.lines)) {
		all = append(all, f.lines[stream]...)
	}
	return all
}

func (t *ecsTask) describe() any {
	t.polls++
	d := map[string]any{"taskArn": t.arn, "lastStatus": "RUNNING", "desiredStatus": "STOPPED"}
	if t.polls > 2 {
		c := map[string]any{"name": t.container, "lastStatus": "STOPPED"}
		d["lastStatus"], d["stoppedReason"] = "STOPPED", "Essential container in task exited"
		if t.end.Broken == "" {
			c["exitCode"] = t.end.ExitCode
		} else {
			c["reason"], d["stoppedReason"] = t.end.Broken, t.end.Broken
		}
		d["containers"] = []any{c}
	}
	return d
}

// resourceByRef finds a resource of a living stack by what Ref, or an Arn, gives.
func (f *Fake) resourceByRef(kind, ref string) *resource {
	for _, s := range f.stacks {
		for _, r := range s.resources {
			if r.kind != kind {
				continue
			}
			if r.ref() == ref {
				return r
			}
			for _, format := range kinds[kind].attributes {
				if r.format(format) == ref {
					return r
				}
			}
		}
	}
	return nil
}
