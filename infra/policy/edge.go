package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mpac-cloud/mpac/infra/template"
)

// checkEdge: load balancers, listeners, names.
func checkEdge(c *checker, system string, stacks []*template.Stack) {
	for _, lb := range of(stacks, "AWS::ElasticLoadBalancingV2::LoadBalancer") {
		c.want(lb.Name, "access logs", attribute(lb, "access_logs.s3.enabled"), "true")
		c.want(lb.Name, "the access logs' bucket", attribute(lb, "access_logs.s3.bucket"), "${AccessLogBucket}")
		c.want(lb.Name, "invalid header fields", attribute(lb, "routing.http.drop_invalid_header_fields.enabled"), "true")
		idle := attribute(lb, "idle_timeout.timeout_seconds")
		// The WebSocket's ping is 30 s.
		if seconds := (&template.Resource{Properties: map[string]any{"s": idle}}).Int("s"); seconds <= 60 {
			c.say(lb.Name, "connections are cut after %ss of silence, and terminals speak each 30s", idle)
		}
		c.listeners(system, stacks, lb)
	}
	if system == "obs" {
		c.shares(stacks)
		if !c.world.DNS {
			return
		}
	}
	var names []string
	for _, r := range of(stacks, "AWS::Route53::RecordSet") {
		names = append(names, strings.TrimSuffix(strings.TrimSuffix(r.Text("Name"), c.world.Manifest.Environments[c.world.Env].Domain), "."))
		if to := fmt.Sprint(r.Get("AliasTarget.DNSName")); to != "${Alb.DNSName}" {
			c.say(r.Name, "the name leads to %s", to)
		}
	}
	slices.Sort(names)
	if !slices.Equal(names, systems[system].names) {
		c.say("", "the names are %v, they must be %v", names, systems[system].names)
	}
	for _, r := range of(stacks, "AWS::CertificateManager::Certificate") {
		c.want(r.Name, "ValidationMethod", r.Text("ValidationMethod"), "DNS")
		got := append([]string{r.Text("DomainName")}, template.Texts(r.Get("SubjectAlternativeNames"))...)
		if len(got) != len(systems[system].names) {
			c.say(r.Name, "it is for %v", got)
		}
	}
}

// shares: telemetry goes to Alloy, by POST alone; the rest to Grafana, which lets nobody in without a name.
func (c *checker) shares(stacks []*template.Stack) {
	want := map[string]string{"AlloyTargetGroup": "otlp.obs." + c.world.Manifest.Environments[c.world.Env].Domain, "GrafanaTargetGroup": "grafana.obs." + c.world.Manifest.Environments[c.world.Env].Domain}
	for _, r := range of(stacks, "AWS::ElasticLoadBalancingV2::ListenerRule") {
		target := r.Ref("Actions.0.TargetGroupArn").Resource
		if target == "" {
			continue
		}
		host, paths := "", ""
		for _, condition := range r.List("Conditions") {
			host += strings.Join(template.Texts(template.At(condition, "HostHeaderConfig.Values")), " ")
			paths += strings.Join(template.Texts(template.At(condition, "PathPatternConfig.Values")), " ")
		}
		switch {
		case c.world.DNS:
			c.want(r.Name, "the host", host, want[target])
		case target == "AlloyTargetGroup":
			c.want(r.Name, "the paths", paths, "/v1/*")
		default:
			c.want(r.Name, "the paths", paths, "*")
		}
		delete(want, target)
	}
	if len(want) > 0 {
		c.say("", "no rule of the load balancer leads to %v", slices.Sorted(maps.Keys(want)))
	}
	if task := find(stacks, "GrafanaTask"); task != nil {
		c.want(task.Name, "GF_AUTH_ANONYMOUS_ENABLED", variable(containerOf(task, "grafana"), "GF_AUTH_ANONYMOUS_ENABLED"), "false")
	}
}

// listeners: the public load balancer redirects 80 to 443 and speaks TLS 1.2 and up; the internal one has a port a service.
func (c *checker) listeners(system string, stacks []*template.Stack, lb *template.Resource) {
	public := lb.Text("Scheme") == "internet-facing"
	var ports []string
	for _, l := range of(stacks, "AWS::ElasticLoadBalancingV2::Listener") {
		if l.Ref("LoadBalancerArn").Resource != lb.Name {
			continue
		}
		ports = append(ports, l.Text("Port"))
		switch {
		case public && l.Text("Port") == "443":
			c.want(l.Name, "Protocol", l.Text("Protocol"), "HTTPS")
			c.oneOf(l.Name, "SslPolicy", l.Text("SslPolicy"), tlsPolicies...)
			if l.Ref("Certificates.0.CertificateArn").Resource != "Certificate" {
				c.say(l.Name, "it shows another certificate than the system's")
			}
			// A name that is not the system's must not reach a service.
			c.want(l.Name, "its default", l.Text("DefaultActions.0.Type"), "fixed-response")
		case public && (system != "obs" || c.world.DNS):
			c.want(l.Name, "its action", l.Text("DefaultActions.0.Type"), "redirect")
			c.want(l.Name, "the redirect's protocol", l.Text("DefaultActions.0.RedirectConfig.Protocol"), "HTTPS")
		}
	}
	slices.Sort(ports)
	want := []string{"443", "80"}
	switch {
	case !public:
		want = systems[system].internalPorts
	case system == "obs" && !c.world.DNS:
		want = []string{"80"}
	}
	if !slices.Equal(ports, want) {
		c.say(lb.Name, "it listens on %v, it must listen on %v", ports, want)
	}
	for _, r := range of(stacks, "AWS::ElasticLoadBalancingV2::ListenerRule") {
		if system != "obs" {
			hosts := template.Texts(r.Get("Conditions.0.HostHeaderConfig.Values"))
			if len(hosts) != len(systems[system].names) {
				c.say(r.Name, "it takes %v", hosts)
			}
		}
	}
}

// checkFirewall: a rate rule that exempts the systems' own addresses, managed rules, sizes that are only counted.
func checkFirewall(c *checker, system string, stacks []*template.Stack) {
	acl := find(stacks, "WebAcl")
	if acl == nil {
		c.say("WebAcl", "there is no firewall")
		return
	}
	protects := ""
	for _, a := range of(stacks, "AWS::WAFv2::WebACLAssociation") {
		if a.Text("WebACLArn") == "${WebAcl.Arn}" {
			protects = a.Ref("ResourceArn").Resource
		}
	}
	c.want(acl.Name, "what it stands before", protects, "Alb")
	if second := template.At(acl.Properties, "Rules.1"); system == "obs" && (template.At(second, "Action.Allow") == nil || template.Text(template.At(second, "Statement.ByteMatchStatement.SearchString")) != "otlp.") {
		c.say(acl.Name, "telemetry is held to more than the rate rule")
	}
	c.managed(system, acl)
	if template.Text(template.At(acl.Properties, "Rules.0.Name")) != "rate" {
		c.say(acl.Name, "its first rule is not the rate rule")
	}
}

// managed: AWS's rules block; only the sizes that the tables name are counted.
func (c *checker) managed(system string, acl *template.Resource) {
	var names []string
	for _, rule := range acl.List("Rules") {
		name := template.Text(template.At(rule, "Name"))
		if rate := template.At(rule, "Statement.RateBasedStatement"); rate != nil {
			c.rate(system, acl, rule, rate)
			continue
		}
		group := template.At(rule, "Statement.ManagedRuleGroupStatement")
		if group == nil {
			continue
		}
		names = append(names, template.Text(template.At(group, "Name")))
		if template.At(rule, "OverrideAction.None") == nil {
			c.say(acl.Name, "%s is only counted", name)
		}
		for _, o := range template.List(template.At(group, "RuleActionOverrides")) {
			if !slices.Contains(systems[system].counted, template.Text(template.At(o, "Name"))) || template.At(o, "ActionToUse.Count") == nil {
				c.say(acl.Name, "%s: %v is overridden", name, template.At(o, "Name"))
			}
		}
		if template.Text(template.At(group, "Name")) == "AWSManagedRulesCommonRuleSet" && len(template.List(template.At(group, "RuleActionOverrides"))) != len(systems[system].counted) {
			c.say(acl.Name, "large bodies are blocked: OTLP, /sync and CSV are large, the size rule only counts")
		}
	}
	for _, want := range []string{"AWSManagedRulesCommonRuleSet", "AWSManagedRulesKnownBadInputsRuleSet"} {
		if !slices.Contains(names, want) {
			c.say(acl.Name, "%s is not among its rules", want)
		}
	}
}

func (c *checker) rate(system string, acl *template.Resource, rule, rate any) {
	if template.At(rule, "Action.Block") == nil {
		c.say(acl.Name, "the rate rule does not block")
	}
	c.want(acl.Name, "AggregateKeyType", template.Text(template.At(rate, "AggregateKeyType")), "IP")
	exempt, _ := template.At(rate, "ScopeDownStatement.NotStatement.Statement.IPSetReferenceStatement.Arn").(template.Reference)
	if system == "obs" && c.world.Alone {
		return // nobody to exempt yet
	}
	set := find(c.world.System(system), exempt.Resource)
	if set == nil {
		c.say(acl.Name, "the rate rule exempts nobody")
		return
	}
	text := strings.Join(template.Texts(set.Get("Addresses")), " ")
	if system != "obs" && !strings.Contains(text, "${NatAddressA}/32") {
		c.say(set.Name, "the system's own address is not exempt: %s", text)
	}
	if !c.world.Alone && !strings.Contains(text, "203.0.113.1/32") {
		c.say(set.Name, "the other systems' addresses are not exempt: %s", text)
	}
	if c.world.prod() && !c.world.Alone && !strings.Contains(text, "203.0.113.2/32") {
		c.say(set.Name, "the other systems' second addresses are not exempt: %s", text)
	}
}
