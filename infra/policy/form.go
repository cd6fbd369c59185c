package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/mpac-cloud/mpac/infra/template"
)

// checkForm: every parameter has a type, what it may be, a description and a use; nothing is shared by exports.
func checkForm(c *checker, s *template.Stack) {
	used := s.Template.UsedParameters()
	for _, name := range slices.Sorted(maps.Keys(s.Template.Parameters)) {
		p := s.Template.Parameters[name]
		if p.Description == "" {
			c.say(name, "the parameter has no description")
		}
		if bounded := len(p.AllowedValues) > 0 || p.AllowedPattern != "" || p.MinValue != "" && p.MaxValue != ""; !bounded && !strings.HasPrefix(p.Type, "AWS::") {
			c.say(name, "the parameter may be anything: it needs a pattern, allowed values or bounds")
		}
		if !used[name] {
			c.say(name, "the parameter is used by nothing")
		}
	}
	for name, o := range s.Template.Outputs {
		if o.Export != nil {
			c.say(name, "outputs pass as parameters, there are no exports")
		}
		if o.Description == "" {
			c.say(name, "the output has no description")
		}
	}
	if domain, there := s.Parameters["BaseDomain"]; there {
		c.want("BaseDomain", "the domain", template.Text(domain), c.world.Manifest.Environments[c.world.Env].Domain)
	}
}

// tagged are the types that the bill and an auditor ask about.
var tagged = []string{
	"AWS::EC2::VPC", "AWS::EC2::NatGateway", "AWS::EC2::Instance", "AWS::EC2::Volume", "AWS::KMS::Key", "AWS::S3::Bucket", "AWS::RDS::DBInstance",
	"AWS::ElastiCache::ReplicationGroup", "AWS::ElasticLoadBalancingV2::LoadBalancer", "AWS::ECS::Cluster", "AWS::ECS::Service", "AWS::ECS::TaskDefinition",
	"AWS::AutoScaling::AutoScalingGroup", "AWS::SecretsManager::Secret", "AWS::SNS::Topic", "AWS::SQS::Queue", "AWS::WAFv2::WebACL", "AWS::CloudWatch::Alarm",
}

// checkTags: system, environment, cost centre.
func checkTags(c *checker, s *template.Stack) {
	system, _, _ := strings.Cut(s.Name, "-")
	for _, r := range s.Of(tagged...) {
		want := map[string]string{"system": "mpac-" + system, "environment": c.world.Env, "cost-centre": "mpac-" + system}
		for _, tag := range r.List("Tags") {
			key := template.Text(template.At(tag, "Key"))
			if value, ours := want[key]; ours {
				c.want(r.Name, "the tag "+key, template.Text(template.Object(tag)["Value"]), value)
				delete(want, key)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(want)) {
			c.say(r.Name, "it has no tag %s", key)
		}
	}
}

// checkTypes: only what the tables know of. A peering, a transit gateway, a VPN, a function nobody asked for: all are findings.
func checkTypes(c *checker, s *template.Stack) {
	system, _, _ := strings.Cut(s.Name, "-")
	for _, r := range s.Each() {
		if !slices.Contains(commonTypes, r.Type) && !slices.Contains(systems[system].types, r.Type) {
			c.say(r.Name, "the tables know no %s in mpac-%s", r.Type, system)
		}
		if r.Type == "AWS::EC2::VPCGatewayAttachment" && r.Get("VpnGatewayId") != nil {
			c.say(r.Name, "a VPN gateway is a way in")
		}
	}
}
