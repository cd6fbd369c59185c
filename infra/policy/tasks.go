package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mpac-cloud/mpac/infra/template"
)

// size is a service of the tables.
type size struct {
	system      string // and stack
	prefix      string // of its resources and parameters
	halves      []string
	cpu, memory string
	least, most string // tasks in production
	container   string
	port        string
	check       string // the container's own health check
	ready       string // what the load balancer asks
	readyPort   string // empty: the same
}

func (z size) names() []string {
	names := make([]string, len(z.halves))
	for i, h := range z.halves {
		names[i] = z.prefix + h
	}
	return names
}

// sizesOf are the services of a system.
func sizesOf(system string) []size {
	var all []size
	for _, z := range sizes {
		if z.system == system {
			all = append(all, z)
		}
	}
	return all
}

// checkSizes: processors, memory, ports and health checks of every service, and no service besides.
func checkSizes(c *checker, system string, stacks []*template.Stack) {
	known := map[string]bool{}
	for _, z := range sizesOf(system) {
		for _, name := range z.names() {
			known[name+"Service"], known[name+"TargetGroup"] = true, true
			task, service, targets := find(stacks, name+"Task"), find(stacks, name+"Service"), find(stacks, name+"TargetGroup")
			if task == nil || service == nil || targets == nil {
				c.say(name, "its task definition, service or target group is not there")
				continue
			}
			c.want(task.Name, "Cpu", task.Text("Cpu"), z.cpu)
			c.want(task.Name, "Memory", task.Text("Memory"), z.memory)
			c.want(service.Name, "TaskDefinition", service.Ref("TaskDefinition").Resource, task.Name)
			c.want(service.Name, "LaunchType", service.Text("LaunchType"), "FARGATE")
			c.want(service.Name, "its target group", service.Ref("LoadBalancers.0.TargetGroupArn").Resource, targets.Name)
			c.want(service.Name, "ContainerName", service.Text("LoadBalancers.0.ContainerName"), z.container)
			c.want(service.Name, "ContainerPort", service.Text("LoadBalancers.0.ContainerPort"), z.port)
			c.want(service.Name, "EnableExecuteCommand", service.Text("EnableExecuteCommand"), "false")
			c.want(targets.Name, "Port", targets.Text("Port"), z.port)
			c.want(targets.Name, "TargetType", targets.Text("TargetType"), "ip")
			c.want(targets.Name, "HealthCheckPath", targets.Text("HealthCheckPath"), z.ready)
			if port := targets.Text("HealthCheckPort"); port != z.readyPort && (z.readyPort != "" || port != z.port) {
				c.say(targets.Name, "HealthCheckPort is %q", port)
			}
			c.want(targets.Name, "Matcher", targets.Text("Matcher.HttpCode"), "200")
			c.health(task, z)
		}
	}
	for _, r := range of(stacks, "AWS::ECS::Service", "AWS::ElasticLoadBalancingV2::TargetGroup") {
		if !known[r.Name] {
			c.say(r.Name, "the tables do not know it")
		}
	}
	if system == "pgw" {
		cpu, memory := "512", "1024"
		switch c.world.Env {
		case "prod":
			cpu, memory = "2048", "4096"
		case "stg":
			cpu, memory = "1024", "2048"
		}
		if task := find(stacks, "MatcherTask"); task != nil {
			c.want(task.Name, "Cpu", task.Text("Cpu"), cpu)
			c.want(task.Name, "Memory", task.Text("Memory"), memory)
		}
	}
}

func (c *checker) health(task *template.Resource, z size) {
	container := containerOf(task, z.container)
	if container == nil {
		c.say(task.Name, "there is no container %s", z.container)
		return
	}
	c.want(task.Name, "the container's health check", strings.Join(template.Texts(template.At(container, "HealthCheck.Command")), " "), z.check)
	listens := false
	for _, m := range template.List(template.At(container, "PortMappings")) {
		listens = listens || template.Text(template.At(m, "ContainerPort")) == z.port
	}
	if !listens {
		c.say(task.Name, "%s does not listen on %s", z.container, z.port)
	}
}

func containerOf(task *template.Resource, name string) any {
	for _, container := range task.List("ContainerDefinitions") {
		if template.Text(template.At(container, "Name")) == name {
			return container
		}
	}
	return nil
}

// checkTasks: what holds for every container there is.
func checkTasks(c *checker, s *template.Stack) {
	for _, task := range s.Of("AWS::ECS::TaskDefinition") {
		c.want(task.Name, "NetworkMode", task.Text("NetworkMode"), "awsvpc")
		c.want(task.Name, "RequiresCompatibilities", strings.Join(template.Texts(task.Get("RequiresCompatibilities")), " "), "FARGATE")
		for _, container := range task.List("ContainerDefinitions") {
			c.container(s, task, container)
		}
	}
	for _, cluster := range s.Of("AWS::ECS::Cluster") {
		c.oneOf(cluster.Name, "containerInsights", cluster.Text("ClusterSettings.0.Value"), "enabled", "enhanced")
	}
}

func (c *checker) container(s *template.Stack, task *template.Resource, container any) {
	name := template.Text(template.At(container, "Name"))
	at := func(path string) string { return template.Text(template.At(container, path)) }
	if !strings.Contains(at("Image"), "@sha256:") {
		c.say(task.Name, "%s: the image %s is not named by its digest", name, at("Image"))
	}
	if user, _, _ := strings.Cut(at("User"), ":"); user == "" || user == "0" || user == "root" {
		c.say(task.Name, "%s runs as root", name)
	}
	c.want(task.Name, name+": ReadonlyRootFilesystem", at("ReadonlyRootFilesystem"), "true")
	if privileged := at("Privileged"); privileged != "" && privileged != "false" || template.At(container, "LinuxParameters.Capabilities.Add") != nil {
		c.say(task.Name, "%s has rights that no container needs", name)
	}
	c.want(task.Name, name+": LogDriver", at("LogConfiguration.LogDriver"), "awslogs")
	if r := s.Resources[logGroup(container)]; r == nil || r.Type != "AWS::Logs::LogGroup" {
		c.say(task.Name, "%s logs to %q, which is not a log group of the stack", name, at("LogConfiguration.Options.awslogs-group"))
	}
	c.drain(task, container)
	if name == "kong" {
		c.sockets(task, container)
	}
}

func variable(container any, name string) string {
	for _, e := range template.List(template.At(container, "Environment")) {
		if template.Text(template.At(e, "Name")) == name {
			return template.Text(template.At(e, "Value"))
		}
	}
	return ""
}

// drain: the notice to the load balancer and what is under way must end before the container is killed.
func (c *checker) drain(task *template.Resource, container any) {
	text := variable(container, "DRAIN_DELAY")
	serves := template.Text(template.At(container, "Command.0")) == "serve"
	if text == "" {
		if serves {
			c.say(task.Name, "there is no DRAIN_DELAY: the load balancer hears too late")
		}
		return
	}
	delay, err1 := time.ParseDuration(text)
	timeout, err2 := time.ParseDuration(variable(container, "DRAIN_TIMEOUT"))
	stop, err3 := strconv.Atoi(template.Text(template.At(container, "StopTimeout")))
	switch {
	case err1 != nil || err2 != nil || err3 != nil:
		c.say(task.Name, "DRAIN_DELAY, DRAIN_TIMEOUT or StopTimeout cannot be read")
	case delay < 10*time.Second:
		c.say(task.Name, "DRAIN_DELAY is %s: two health checks take 10s", delay)
	case delay+timeout >= time.Duration(stop)*time.Second:
		c.say(task.Name, "draining may take %s, and the container is killed after %ds", delay+timeout, stop)
	case stop > 120:
		c.say(task.Name, "StopTimeout is above Fargate's 120 s")
	}
}

// sockets: Kong's limits for its share of the terminals, each two sockets; a third of the tasks must bear it all.
func (c *checker) sockets(task *template.Resource, container any) {
	number := func(name string) int { n, _ := strconv.Atoi(variable(container, name)); return n }
	const share = 2 * terminals / 10
	held := number("KONG_NGINX_WORKER_PROCESSES") * number("KONG_NGINX_EVENTS_WORKER_CONNECTIONS")
	files, _ := strconv.Atoi(template.Text(template.At(container, "Ulimits.0.SoftLimit")))
	if held < share || number("KONG_NGINX_MAIN_WORKER_RLIMIT_NOFILE") < number("KONG_NGINX_EVENTS_WORKER_CONNECTIONS") || files < held {
		c.say(task.Name, "Kong holds %d connections with %d files, its share is %d", held, files, share)
	}
}

// terminals at once, of the platform's targets.
const terminals = 400_000

// checkCommands: what `mpac deploy run` starts serves nothing, and is no half of a service: a half that is not live runs the version before.
func checkCommands(c *checker, system string, stacks []*template.Stack) {
	serving := map[string]bool{}
	for _, s := range of(stacks, "AWS::ECS::Service") {
		serving[s.Ref("TaskDefinition").Resource] = true
	}
	for _, s := range c.world.Manifest.Systems[system] {
		stack := c.world.Stacks[s.Name]
		if stack == nil {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(s.Tasks)) {
			definition, _ := stack.Outputs[s.Tasks[name].Definition].(template.Reference)
			task := stack.Resources[definition.Resource]
			if task == nil || task.Type != "AWS::ECS::TaskDefinition" {
				c.say(name, "%s is no task definition", s.Tasks[name].Definition)
				continue
			}
			container := containerOf(task, s.Tasks[name].Container)
			if serving[task.Name] || template.Text(template.At(container, "Command.0")) == "serve" {
				c.say(task.Name, "mpac deploy run %s %s starts a service's own task", s.Name, name)
			}
			if group := stack.Resources[logGroup(container)]; s.Tasks[name].NeedsCommand && name != "matcher" && group != nil { // a matcher's run is in the database's audit trail
				if days := group.Int("RetentionInDays"); days < commandLogDays[c.world.Env] {
					c.say(group.Name, "what operators did is kept for %d days, it must be for %d", days, commandLogDays[c.world.Env])
				}
				c.stays(group, "Retain")
			}
			if len(s.Tasks[name].Sealed) > 0 {
				c.want(task.Name, name+": PARTNER_ANSWERS_SEALED", variable(container, "PARTNER_ANSWERS_SEALED"), "true")
			}
			c.want(task.Name, name+": its log", template.Text(stack.Outputs[s.Tasks[name].LogGroup]), template.Text(template.At(container, "LogConfiguration.Options.awslogs-group")))
			c.want(task.Name, name+": its log's prefix", s.Tasks[name].LogPrefix, template.Text(template.At(container, "LogConfiguration.Options.awslogs-stream-prefix")))
		}
	}
}

// logGroup is the log group's name in the stack; empty when it is none of the stack's.
func logGroup(container any) string {
	group, _ := template.At(container, "LogConfiguration.Options.awslogs-group").(template.Reference)
	return group.Resource
}

// checkScaling: counts by environment; scaling owns them; 60% CPU, 70% memory, requests per target; out in 60 s, in in 300 s.
func checkScaling(c *checker, system string, stacks []*template.Stack) {
	for _, z := range sizesOf(system) {
		for _, name := range z.names() {
			service, target := find(stacks, name+"Service"), find(stacks, name+"Scaling")
			if service == nil {
				continue
			}
			if !z.scales() {
				c.single(service, z)
				continue
			}
			if target == nil {
				c.say(name, "there is no scalable target")
				continue
			}
			c.counts(service, target, z, name)
			for _, p := range []struct{ suffix, metric, value string }{
				{"ScalingByCpu", "ECSServiceAverageCPUUtilization", "60"},
				{"ScalingByMemory", "ECSServiceAverageMemoryUtilization", "70"},
				{"ScalingByRequests", "ALBRequestCountPerTarget", ""},
			} {
				c.scalingPolicy(find(stacks, name+p.suffix), target, name+p.suffix, p.metric, p.value)
			}
		}
	}
}

func (z size) scales() bool { return z.most != "1" }

// single: a service of one task has no scaling.
func (c *checker) single(service *template.Resource, z size) {
	want := z.most
	if c.world.FirstCreate && service.Text("DesiredCount") == "0" {
		return
	}
	c.want(service.Name, "DesiredCount", service.Text("DesiredCount"), want)
}

func (c *checker) counts(service, target *template.Resource, z size, name string) {
	off := c.world.FirstCreate || strings.HasSuffix(name, "Green")
	least, most, desired := target.Text("MinCapacity"), target.Text("MaxCapacity"), service.Text("DesiredCount")
	parameters := c.world.Stacks[z.system].Template.Parameters
	c.want(name, "the largest "+z.prefix+"MaxCapacity", parameters[z.prefix+"MaxCapacity"].MaxValue, z.most)
	switch {
	case off:
		if least != "0" || most != "0" || desired != "0" {
			c.say(name, "it is off, and has %s to %s tasks, desired %q", least, most, desired)
		}
	case desired != "":
		c.say(service.Name, "DesiredCount is %s: scaling owns it", desired)
	case c.world.prod():
		c.want(name, "tasks in production", least+" to "+most, z.least+" to "+z.most)
	default:
		if l, _ := strconv.Atoi(least); l < 1 {
			c.say(name, "it has %s tasks at least", least)
		}
	}
	c.want(target.Name, "ResourceId", target.Text("ResourceId"), fmt.Sprintf("service/${Cluster}/${%s.Name}", service.Name))
	c.want(target.Name, "ScalableDimension", target.Text("ScalableDimension"), "ecs:service:DesiredCount")
}

func (c *checker) scalingPolicy(p, target *template.Resource, name, metric, value string) {
	const at = "TargetTrackingScalingPolicyConfiguration."
	if p == nil {
		c.say(name, "there is no such scaling policy")
		return
	}
	c.want(p.Name, "ScalingTargetId", p.Ref("ScalingTargetId").Resource, target.Name)
	c.want(p.Name, "the metric", p.Text(at+"PredefinedMetricSpecification.PredefinedMetricType"), metric)
	if value != "" {
		c.want(p.Name, "TargetValue", p.Text(at+"TargetValue"), value)
	} else if half := strings.TrimSuffix(p.Name, "ScalingByRequests"); !strings.HasSuffix(p.Text(at+"PredefinedMetricSpecification.ResourceLabel"), "/${"+half+"TargetGroup.TargetGroupFullName}") {
		c.say(p.Name, "it counts another target group's requests")
	}
	c.want(p.Name, "ScaleOutCooldown", p.Text(at+"ScaleOutCooldown"), "60")
	c.want(p.Name, "ScaleInCooldown", p.Text(at+"ScaleInCooldown"), "300")
}
