package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mpac-cloud/mpac/infra/template"
)

// checkNetwork: exact CIDRs; each subnet's tier by its routes; no way between the systems.
func checkNetwork(c *checker, system string, stacks []*template.Stack) {
	want := systems[system]
	vpcs := of(stacks, "AWS::EC2::VPC")
	if len(vpcs) != 1 {
		c.say("", "there are %d VPCs, there must be one", len(vpcs))
		return
	}
	c.want(vpcs[0].Name, "CidrBlock", vpcs[0].Text("CidrBlock"), want.vpc)
	got := map[string]string{}
	for _, s := range of(stacks, "AWS::EC2::Subnet") {
		got[s.Name] = s.Text("CidrBlock")
		c.want(s.Name, "MapPublicIpOnLaunch", s.Text("MapPublicIpOnLaunch"), "false")
		c.want(s.Name, "VpcId", s.Ref("VpcId").Resource, vpcs[0].Name)
		zone := "zone 1"
		if strings.HasSuffix(s.Name, "B") {
			zone = "zone 2"
		}
		c.want(s.Name, "AvailabilityZone", s.Text("AvailabilityZone"), zone)
	}
	expected := map[string]string{}
	for name, cidr := range want.subnets {
		expected[subnet(name)] = cidr
	}
	if !maps.Equal(got, expected) {
		c.say("", "the subnets are %v, they must be %v", got, expected)
	}
	checkRoutes(c, want, stacks)
	checkNat(c, stacks)
	checkEndpoints(c, want, stacks)
	if len(of(stacks, "AWS::EC2::FlowLog")) != 1 {
		c.say("", "the VPC has no flow log")
	}
	for _, f := range of(stacks, "AWS::EC2::FlowLog") {
		c.want(f.Name, "TrafficType", f.Text("TrafficType"), "ALL")
		c.want(f.Name, "ResourceId", f.Ref("ResourceId").Resource, vpcs[0].Name)
	}
}

// subnet is the resource of a subnet of the tables: PublicA is PublicSubnetA.
func subnet(name string) string { return name[:len(name)-1] + "Subnet" + name[len(name)-1:] }

// checkRoutes: public subnets reach the internet gateway, private ones the NAT gateway of their zone, the databases' nothing.
func checkRoutes(c *checker, want system, stacks []*template.Stack) {
	ways := map[string][]string{} // route table -> where to
	for _, r := range of(stacks, "AWS::EC2::Route") {
		target := "nowhere known"
		switch {
		case r.Ref("GatewayId").Resource == "InternetGateway":
			target = "internet"
		case r.Ref("NatGatewayId").Resource != "":
			target = r.Ref("NatGatewayId").Resource
		}
		for key := range r.Properties {
			if !slices.Contains([]string{"RouteTableId", "DestinationCidrBlock", "GatewayId", "NatGatewayId"}, key) {
				c.say(r.Name, "a route by %s leads out of the system", key)
			}
		}
		c.want(r.Name, "DestinationCidrBlock", r.Text("DestinationCidrBlock"), "0.0.0.0/0")
		table := r.Ref("RouteTableId").Resource
		ways[table] = append(ways[table], target)
	}
	tables := map[string]string{}
	for _, a := range of(stacks, "AWS::EC2::SubnetRouteTableAssociation") {
		if _, twice := tables[a.Ref("SubnetId").Resource]; twice {
			c.say(a.Name, "the subnet has two route tables")
		}
		tables[a.Ref("SubnetId").Resource] = a.Ref("RouteTableId").Resource
	}
	for _, name := range slices.Sorted(maps.Keys(want.subnets)) {
		zone := name[len(name)-1:]
		var expected string
		switch {
		case strings.HasPrefix(name, "Public"):
			expected = "internet"
		case strings.HasPrefix(name, "Private") && (zone == "A" || !c.world.prod()):
			expected = "NatGatewayA"
		case strings.HasPrefix(name, "Private"):
			expected = "NatGatewayB"
		}
		table := tables[subnet(name)]
		if table == "" {
			c.say(subnet(name), "the subnet has no route table of its own, so it has the VPC's main one")
		}
		c.want(subnet(name), "the way out", strings.Join(ways[table], ", "), expected)
	}
}

// checkNat: one per zone in production, one elsewhere, in the public subnets, with fixed addresses that are outputs.
func checkNat(c *checker, stacks []*template.Stack) {
	zones := []string{"A"}
	if c.world.prod() {
		zones = []string{"A", "B"}
	}
	gateways := of(stacks, "AWS::EC2::NatGateway")
	if len(gateways) != len(zones) {
		c.say("", "there are %d NAT gateways, there must be %d", len(gateways), len(zones))
	}
	for _, g := range gateways {
		zone := g.Name[len(g.Name)-1:]
		c.want(g.Name, "SubnetId", g.Ref("SubnetId").Resource, "PublicSubnet"+zone)
		c.want(g.Name, "AllocationId", g.Text("AllocationId"), "${NatAddress"+zone+".AllocationId}")
	}
	for _, zone := range []string{"A", "B"} {
		want := "none"
		if slices.Contains(zones, zone) {
			want = "${NatAddress" + zone + "}"
		}
		c.want("", "the output NatAddress"+zone, fmt.Sprint(stacks[0].Outputs["NatAddress"+zone]), want)
	}
}

// checkEndpoints: images, logs and secrets stay inside, and nothing but AWS's own services is let in by an endpoint.
func checkEndpoints(c *checker, want system, stacks []*template.Stack) {
	var got []string
	for _, e := range of(stacks, "AWS::EC2::VPCEndpoint") {
		service, ours := strings.CutPrefix(e.Text("ServiceName"), "com.amazonaws.ap-northeast-1.")
		if !ours {
			c.say(e.Name, "it is an endpoint of %s", e.Text("ServiceName"))
		}
		got = append(got, service)
		if e.Text("VpcEndpointType") == "Gateway" {
			var tables []string
			for _, t := range e.List("RouteTableIds") {
				tables = append(tables, template.Text(t))
			}
			for _, table := range []string{"${PrivateRouteTableA}", "${PrivateRouteTableB}"} {
				if !slices.Contains(tables, table) {
					c.say(e.Name, "%s has no route to it", table)
				}
			}
			continue
		}
		c.want(e.Name, "PrivateDnsEnabled", e.Text("PrivateDnsEnabled"), "true")
		c.want(e.Name, "SubnetIds", strings.Join(template.Texts(e.Get("SubnetIds")), " "), "${PrivateSubnetA} ${PrivateSubnetB}")
	}
	for _, service := range want.endpoints {
		if !slices.Contains(got, service) {
			c.say("", "there is no VPC endpoint of %s", service)
		}
	}
}

// holder is a resource that lives in subnets, behind security groups.
type holder struct {
	subnets, groups []string
	public          string // "ENABLED", "true": it has a public address
}

// held reads where a resource lives; ok is false for types that live nowhere.
func held(r *template.Resource) (h holder, ok bool) {
	refs := func(paths ...string) []string {
		var names []string
		for _, path := range paths {
			for ref := range template.References(r.Get(path)) {
				names = append(names, ref.Resource)
			}
		}
		return names
	}
	awsvpc := func(at string) holder {
		return holder{refs(at + ".Subnets"), refs(at + ".SecurityGroups"), r.Text(at + ".AssignPublicIp")}
	}
	switch r.Type {
	case "AWS::ECS::Service":
		return awsvpc("NetworkConfiguration.AwsvpcConfiguration"), true
	case "AWS::Scheduler::Schedule":
		return awsvpc("Target.EcsParameters.NetworkConfiguration.AwsvpcConfiguration"), true
	case "AWS::Events::Rule":
		if r.Get("Targets.0.EcsParameters") == nil {
			return h, false
		}
		return awsvpc("Targets.0.EcsParameters.NetworkConfiguration.AwsVpcConfiguration"), true
	case "AWS::ElasticLoadBalancingV2::LoadBalancer":
		return holder{refs("Subnets"), refs("SecurityGroups"), r.Text("Scheme")}, true
	case "AWS::RDS::DBInstance":
		return holder{refs("DBSubnetGroupName"), refs("VPCSecurityGroups"), r.Text("PubliclyAccessible")}, true
	case "AWS::ElastiCache::ReplicationGroup":
		return holder{refs("CacheSubnetGroupName"), refs("SecurityGroupIds"), ""}, true
	case "AWS::RDS::DBSubnetGroup", "AWS::ElastiCache::SubnetGroup":
		return holder{refs("SubnetIds"), nil, ""}, true
	case "AWS::EC2::Instance":
		return holder{refs("SubnetId", "NetworkInterfaces.0.SubnetId"), refs("SecurityGroupIds", "NetworkInterfaces.0.GroupSet"), r.Text("NetworkInterfaces.0.AssociatePublicIpAddress")}, true
	case "AWS::EC2::NetworkInterface":
		return holder{refs("SubnetId"), refs("GroupSet"), ""}, true
	case "AWS::AutoScaling::AutoScalingGroup":
		return holder{refs("VPCZoneIdentifier"), nil, ""}, true
	case "AWS::EC2::LaunchTemplate":
		return holder{nil, refs("LaunchTemplateData.SecurityGroupIds", "LaunchTemplateData.NetworkInterfaces.0.Groups"), r.Text("LaunchTemplateData.NetworkInterfaces.0.AssociatePublicIpAddress")}, true
	case "AWS::EC2::VPCEndpoint":
		return holder{nil, refs("SecurityGroupIds"), ""}, r.Text("VpcEndpointType") != "Gateway"
	}
	return h, false
}

// checkPlacement: what lives where, behind which group, and with a public address or not.
func checkPlacement(c *checker, system string, stacks []*template.Stack) {
	want := systems[system]
	seen := map[string]bool{}
	for _, s := range stacks {
		for _, r := range s.Each() {
			h, ok := held(r)
			if !ok {
				continue
			}
			place, known := want.places[r.Name]
			if r.Type == "AWS::EC2::VPCEndpoint" {
				place, known = placed("", "Endpoint", ""), true
			}
			if !known {
				c.say(r.Name, "the tables do not say where a %s of this name lives", r.Type)
				continue
			}
			seen[r.Name] = true
			c.want(r.Name, "its subnets", strings.Join(h.subnets, " "), strings.Join(place.subnets(), " "))
			c.want(r.Name, "its security groups", strings.Join(h.groups, " "), place.groupName())
			c.want(r.Name, "its public address", h.public, place.public)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want.places)) {
		if !seen[name] {
			c.say(name, "it is not there")
		}
	}
}

// subnets are the names of the place's subnets, or of the group of subnets.
func (p place) subnets() []string {
	switch p.in {
	case "":
		return nil
	case "Public", "Private", "Database":
		return []string{p.in + "SubnetA", p.in + "SubnetB"}
	default:
		return []string{p.in}
	}
}

func (p place) groupName() string {
	if p.group == "" {
		return ""
	}
	return p.group + "SecurityGroup"
}

// Thing is something that lives in a system's network.
type Thing struct {
	Name, Type string
	Tier       string // Public, Private, Database; empty where it has no subnets itself
	Group      string // its security group, without the suffix
}

// Things lists what lives in a system's network.
func Things(stacks []*template.Stack) []Thing {
	tiers := map[string]string{}
	for _, r := range of(stacks, "AWS::RDS::DBSubnetGroup", "AWS::ElastiCache::SubnetGroup") {
		h, _ := held(r)
		tiers[r.Name] = tier(h.subnets)
	}
	var all []Thing
	for _, s := range stacks {
		for _, r := range s.Each() {
			h, ok := held(r)
			if !ok || len(h.groups) == 0 {
				continue
			}
			t := Thing{Name: r.Name, Type: r.Type, Tier: tier(h.subnets), Group: strings.TrimSuffix(h.groups[0], "SecurityGroup")}
			if len(h.subnets) == 1 && tiers[h.subnets[0]] != "" {
				t.Tier = tiers[h.subnets[0]]
			}
			all = append(all, t)
		}
	}
	return all
}

func tier(subnets []string) string {
	if len(subnets) == 0 {
		return ""
	}
	name, _, _ := strings.Cut(subnets[0], "Subnet")
	return name
}
