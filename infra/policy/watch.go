package policy

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/mpac-cloud/mpac/infra/template"
)

// checkSchedule: the matcher starts at 02:00 Tokyo and is asked after at the providers' hour; what fails is started once more and told.
func checkSchedule(c *checker, system string, stacks []*template.Stack) {
	if system != "pgw" {
		return
	}
	for name, want := range map[string]struct{ cron, group string }{
		"MatcherSchedule": {"cron(0 2 * * ? *)", "matcher"}, "MatcherDeadline": {"cron(35 10 * * ? *)", "matcher-again"},
	} {
		s := find(stacks, name)
		if s == nil {
			c.say(name, "it is not there")
			continue
		}
		c.want(name, "ScheduleExpression", s.Text("ScheduleExpression"), want.cron)
		c.want(name, "ScheduleExpressionTimezone", s.Text("ScheduleExpressionTimezone"), "Asia/Tokyo")
		c.want(name, "State", s.Text("State"), "ENABLED")
		c.want(name, "Group", s.Text("Target.EcsParameters.Group"), want.group)
		c.want(name, "the task", s.Ref("Target.EcsParameters.TaskDefinitionArn").Resource, "MatcherTask")
		c.want(name, "the dead letters", s.Text("Target.DeadLetterConfig.Arn"), "${MatcherDeadLetters.Arn}")
		if s.Int("Target.RetryPolicy.MaximumRetryAttempts") < 1 {
			c.say(name, "a start that fails is not tried again")
		}
	}
	if task := find(stacks, "MatcherTask"); task != nil {
		c.want(task.Name, "the command", strings.Join(template.Texts(task.Get("ContainerDefinitions.0.Command")), " "), "run --date yesterday --await")
	}
	c.failed(stacks, "MatcherFailed", "matcher", true)
	c.failed(stacks, "MatcherFailedAgain", "matcher-again", false)
}

// stoppedBadly is a stopped task whose exit code is none, or neither 0 (all matched) nor 2 (a report).
const stoppedBadly = `[{"containers":{"exitCode":[{"anything-but":["0","2"]}]}},{"containers":{"exitCode":[{"exists":"false"}]}}]`

func (c *checker) failed(stacks []*template.Stack, name, group string, again bool) {
	r := find(stacks, name)
	if r == nil {
		c.say(name, "it is not there")
		return
	}
	detail := r.Get("EventPattern.detail")
	c.want(name, "State", r.Text("State"), "ENABLED")
	c.want(name, "lastStatus", strings.Join(template.Texts(template.At(detail, "lastStatus")), " "), "STOPPED")
	c.want(name, "group", strings.Join(template.Texts(template.At(detail, "group")), " "), group)
	c.want(name, "clusterArn", strings.Join(template.Texts(template.At(detail, "clusterArn")), " "), "${Cluster.Arn}")
	codes, err := json.Marshal(template.At(detail, "$or"))
	if err != nil || string(codes) != stoppedBadly {
		c.say(name, "it goes by the exit codes %s", codes)
	}
	if !again {
		c.want(name, "what happens", r.Text("Targets.0.Arn"), "${MatcherDeadLetters.Arn}")
		return
	}
	c.want(name, "what is started", r.Ref("Targets.0.EcsParameters.TaskDefinitionArn").Resource, "MatcherTask")
	c.want(name, "its group", r.Text("Targets.0.EcsParameters.Group"), "matcher-again")
	if len(r.List("Targets")) != 1 {
		c.say(name, "it starts more than one")
	}
}

// checkAlarms: everything stateful has its alarms, each reaches somebody.
func checkAlarms(c *checker, _ string, stacks []*template.Stack) {
	watched := map[string]map[string]bool{} // resource -> metrics
	for _, a := range of(stacks, "AWS::CloudWatch::Alarm") {
		c.alarm(a)
		for _, name := range watchedBy(a) {
			if watched[name] == nil {
				watched[name] = map[string]bool{}
			}
			watched[name][a.Text("MetricName")] = true
		}
	}
	for _, s := range stacks {
		for _, r := range s.Each() {
			for _, metric := range alarmsOf(r) {
				if !watched[r.Name][metric] {
					c.say(r.Name, "no alarm watches its %s (there are %v)", metric, slices.Sorted(maps.Keys(watched[r.Name])))
				}
			}
		}
	}
	heard := false
	for _, s := range of(stacks, "AWS::SNS::Subscription") {
		heard = heard || s.Ref("TopicArn").Resource == "AlarmTopic"
	}
	if !heard {
		c.say("AlarmTopic", "nobody listens to the alarms")
	}
}

func (c *checker) alarm(a *template.Resource) {
	if topic := a.Ref("AlarmActions.0"); topic.Resource != "AlarmTopic" {
		c.say(a.Name, "nobody hears it")
	}
	if a.Text("AlarmDescription") == "" {
		c.say(a.Name, "it does not say what it means")
	}
	if a.Text("ActionsEnabled") == "false" {
		c.say(a.Name, "it is switched off")
	}
}

// watchedBy are the resources whose figures an alarm is about.
func watchedBy(a *template.Resource) []string {
	var names []string
	for ref := range template.References(a.Get("Dimensions")) {
		names = append(names, ref.Resource)
	}
	for _, d := range template.Texts(a.Get("Dimensions")) {
		// Redis's nodes are named after their group: a text that holds its name.
		if strings.Contains(d, "${Redis}-001") {
			names = append(names, "Redis")
		}
	}
	return names
}

// alarmsOf are the figures of a resource that must be watched.
func alarmsOf(r *template.Resource) []string {
	if r.Type == "AWS::ElasticLoadBalancingV2::TargetGroup" && (r.Name == "GrafanaTargetGroup" || r.Name == "AlloyTargetGroup") {
		return []string{"UnHealthyHostCount"}
	}
	return requiredAlarms[r.Type]
}

// checkBox: one instance in one zone, old out before new in; its volume and address are its own; it reaches two buckets.
func checkBox(c *checker, system string, stacks []*template.Stack) {
	if system != "obs" {
		return
	}
	box, tmpl := find(stacks, "Box"), find(stacks, "BoxTemplate")
	if box == nil || tmpl == nil {
		c.say("Box", "there is no OBS box")
		return
	}
	for _, key := range []string{"MinSize", "MaxSize", "DesiredCapacity"} {
		c.want(box.Name, key, box.Text(key), "1")
	}
	c.want(box.Name, "the rest of the group while one is replaced", box.Text("InstanceMaintenancePolicy.MinHealthyPercentage"), "0")
	c.want(box.Name, "the most while one is replaced", box.Text("InstanceMaintenancePolicy.MaxHealthyPercentage"), "100")
	p := c.world.Stacks["obs-box"].Template.Parameters["InstanceType"]
	if p.Default == nil || *p.Default != "t3.medium" {
		c.say(tmpl.Name, "the default of InstanceType is not t3.medium")
	}
	c.want(tmpl.Name, "InstanceType", tmpl.Text("LaunchTemplateData.InstanceType"), template.Text(c.world.Stacks["obs-box"].Parameters["InstanceType"]))
	for _, port := range []string{"9090", "3100", "3200", "9093"} {
		if !strings.Contains(tmpl.Text("LaunchTemplateData.UserData"), port) {
			c.say(tmpl.Name, "nothing on it listens on %s", port)
		}
	}
	memory := template.Object(template.Object(c.world.Stacks["obs-box"].Template.Mappings["Memory"])["t3.medium"])
	for part, mib := range map[string]string{"Prometheus": "1434", "Loki": "922", "Tempo": "819", "Alertmanager": "102"} {
		c.want(tmpl.Name, part+"'s memory on a t3.medium, in MiB", template.Text(memory[part]), mib)
	}
}
