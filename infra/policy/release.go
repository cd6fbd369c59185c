package policy

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/mpac-cloud/mpac/infra/template"
)

// checkRelease: a service exists twice, and its halves differ in nothing but the parameters that a release moves; what exists once
// rolls; both fall back by themselves.
func checkRelease(c *checker, system string, stacks []*template.Stack) {
	for _, z := range sizesOf(system) {
		for _, name := range z.names() {
			if s := find(stacks, name+"Service"); s != nil {
				c.rolls(s)
			}
		}
		if len(z.halves) == 2 {
			c.pair(stacks[0].Template, z)
			c.weights(stacks[0].Template, z)
		}
	}
}

func (c *checker) rolls(s *template.Resource) {
	const at = "DeploymentConfiguration."
	c.want(s.Name, "the circuit breaker", s.Text(at+"DeploymentCircuitBreaker.Enable"), "true")
	c.want(s.Name, "the circuit breaker's way back", s.Text(at+"DeploymentCircuitBreaker.Rollback"), "true")
	if least := s.Int(at + "MinimumHealthyPercent"); least < 100 && s.Text("DesiredCount") == "" {
		c.say(s.Name, "a deployment may leave %d%% of the tasks", least)
	}
}

// pair compares the halves as they are written.
func (c *checker) pair(t *template.Template, z size) {
	for _, suffix := range []string{"Task", "Service", "TargetGroup", "Scaling", "ScalingByCpu", "ScalingByMemory", "ScalingByRequests"} {
		blue, green := t.Resources[z.prefix+"Blue"+suffix], t.Resources[z.prefix+"Green"+suffix]
		if blue == nil || green == nil {
			c.say(z.prefix, "one of the halves' %s is not there", suffix)
			continue
		}
		one, err1 := json.Marshal(blue.Properties)
		other, err2 := json.Marshal(green.Properties)
		if err1 != nil || err2 != nil || colourless(string(one)) != colourless(string(other)) {
			c.say(blue.Name, "it differs from %s in more than its colour", green.Name)
		}
		if strings.Contains(string(one), "Green") || strings.Contains(string(other), "Blue") {
			c.say(blue.Name, "the halves are mixed up")
		}
	}
	for _, colour := range z.halves {
		task := t.Resources[z.prefix+colour+"Task"]
		if task == nil {
			continue
		}
		c.want(task.Name, "Image", fmt.Sprint(task.Get("ContainerDefinitions.0.Image")), fmt.Sprint(map[string]any{"Ref": z.prefix + colour + "Image"}))
	}
}

func colourless(text string) string {
	return strings.NewReplacer("Blue", "", "Green", "", "blue", "", "green", "").Replace(text)
}

// weights: the listener shares requests out by the parameters, and by nothing else.
func (c *checker) weights(t *template.Template, z size) {
	found := 0
	for _, r := range t.Resources {
		for _, list := range []string{"DefaultActions", "Actions"} {
			targets := r.List(list + ".0.ForwardConfig.TargetGroups")
			if len(targets) != 2 || !strings.Contains(fmt.Sprint(targets[0]), z.prefix+"Blue") {
				continue
			}
			found++
			for i, colour := range z.halves {
				want := map[string]any{"TargetGroupArn": map[string]any{"Ref": z.prefix + colour + "TargetGroup"}, "Weight": map[string]any{"Ref": z.prefix + colour + "Weight"}}
				c.want(r.Name, "the share of "+colour, fmt.Sprint(targets[i]), fmt.Sprint(want))
			}
		}
	}
	if found != 1 {
		c.say(z.prefix, "%d listeners share its requests out by weight, there must be one", found)
	}
}
