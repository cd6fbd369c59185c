package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mpac-cloud/mpac/infra/template"
)

// Edge is one way that packets may go.
type Edge struct {
	From, To string // a security group without its suffix; world, internet, s3 or a CIDR
	Port     string // 443, or 8000-8010
}

// String writes an edge as the tables do.
func (e Edge) String() string { return e.From + " -> " + e.To + ":" + e.Port }

// s3PrefixList is S3's managed prefix list in ap-northeast-1.
const s3PrefixList = "pl-61a54008"

// Reach reads the security groups' rules of a system: what may reach what. Half are rules whose other half is missing: they open
// nothing yet, and mean that somebody believed they would.
func Reach(stacks []*template.Stack) (edges, half []Edge) {
	in, out := map[Edge]bool{}, map[Edge]bool{}
	for _, r := range of(stacks, "AWS::EC2::SecurityGroupIngress") {
		in[Edge{peer(r.Properties, "Source", "world"), group(r.Get("GroupId")), ports(r.Properties)}] = true
	}
	for _, r := range of(stacks, "AWS::EC2::SecurityGroupEgress") {
		out[Edge{group(r.Get("GroupId")), peer(r.Properties, "Destination", "internet"), ports(r.Properties)}] = true
	}
	for _, g := range of(stacks, "AWS::EC2::SecurityGroup") {
		for _, rule := range g.List("SecurityGroupIngress") {
			m := template.Object(rule)
			in[Edge{peer(m, "Source", "world"), group(template.Reference{Resource: g.Name}), ports(m)}] = true
		}
		for _, rule := range g.List("SecurityGroupEgress") {
			if m := template.Object(rule); !nothing(m) {
				out[Edge{group(template.Reference{Resource: g.Name}), peer(m, "Destination", "internet"), ports(m)}] = true
			}
		}
		if len(g.List("SecurityGroupEgress")) == 0 {
			out[Edge{group(template.Reference{Resource: g.Name}), "internet", "all"}] = true // AWS's default
		}
	}
	inside := map[string]bool{}
	for _, g := range of(stacks, "AWS::EC2::SecurityGroup") {
		inside[group(template.Reference{Resource: g.Name})] = true
	}
	for e := range in {
		if inside[e.From] && !out[e] {
			half = append(half, e)
		} else {
			edges = append(edges, e)
		}
	}
	for e := range out {
		switch {
		case inside[e.To] && !in[e]:
			half = append(half, e)
		case !inside[e.To]:
			edges = append(edges, e)
		}
	}
	return edges, half
}

func group(v any) string {
	ref, _ := v.(template.Reference)
	return strings.TrimSuffix(ref.Resource, "SecurityGroup")
}

// nothing is the rule that stands in for AWS's default of letting everything out.
func nothing(rule map[string]any) bool {
	return template.Text(rule["CidrIp"]) == "127.0.0.1/32" && template.Text(rule["IpProtocol"]) == "icmp"
}

func peer(rule map[string]any, side, everywhere string) string {
	if g := rule[side+"SecurityGroupId"]; g != nil {
		return group(g)
	}
	if list := template.Text(rule[side+"PrefixListId"]); list != "" {
		if list == s3PrefixList {
			return "s3"
		}
		return list
	}
	if cidr := template.Text(rule["CidrIp"]); cidr != "0.0.0.0/0" && cidr != "" {
		return cidr
	}
	if template.Text(rule["CidrIp"]) == "" {
		return "unknown peer"
	}
	return everywhere
}

func ports(rule map[string]any) string {
	from, to := template.Text(rule["FromPort"]), template.Text(rule["ToPort"])
	switch protocol := template.Text(rule["IpProtocol"]); {
	case protocol != "tcp":
		return "protocol " + protocol
	case from == to && from != "":
		return from
	default:
		return fmt.Sprintf("%s-%s", from, to)
	}
}

// checkReach: who can reach whom on which port, and nothing else.
func checkReach(c *checker, system string, stacks []*template.Stack) {
	edges, half := Reach(stacks)
	want := map[string]bool{}
	for _, e := range systems[system].reach {
		want[e] = true
	}
	if system == "obs" && !c.world.DNS {
		delete(want, "world -> Alb:443")
		delete(want, "world -> Alb:80")
		want[officeCidr+" -> Alb:80"] = true
	}
	got := map[string]bool{}
	for _, e := range edges {
		got[e.String()] = true
	}
	for _, e := range slices.Sorted(maps.Keys(got)) {
		if !want[e] {
			c.say("", "%s is open, and the tables do not have it", e)
		}
	}
	for _, e := range slices.Sorted(maps.Keys(want)) {
		if !got[e] {
			c.say("", "%s is in the tables, and is not open", e)
		}
	}
	for _, e := range half {
		c.say("", "%s has only one of its two rules", e)
	}
	for _, g := range of(stacks, "AWS::EC2::SecurityGroup") {
		if len(g.List("SecurityGroupIngress")) > 0 {
			c.say(g.Name, "rules are resources of their own; inline, mutual ones would be a cycle")
		}
		c.want(g.Name, "VpcId", g.Ref("VpcId").Resource, "Vpc")
	}
}
