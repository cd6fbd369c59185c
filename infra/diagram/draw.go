package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mpac-cloud/mpac/infra/policy"
	"github.com/mpac-cloud/mpac/infra/template"
)

// between draws who calls whom over the internet: by the names that tasks are told to call.
func between(b *strings.Builder, w *policy.World) {
	owner := owners(w)
	calls := map[string][]string{}
	for _, system := range order {
		for _, name := range called(w, system, owner) {
			calls[system+" "+owner[name]] = append(calls[system+" "+owner[name]], name)
		}
	}
	b.WriteString("```mermaid\nflowchart LR\n")
	for _, system := range order {
		var names []string
		for name, s := range owner {
			if s == system {
				names = append(names, name+".")
			}
		}
		vpc := w.System(system)[0].Of("AWS::EC2::VPC")[0]
		fmt.Fprintf(b, "    %s[\"mpac-%s<br/>%s<br/>%s\"]\n", system, system, vpc.Text("CidrBlock"), join(names))
	}
	for _, pair := range slices.Sorted(maps.Keys(calls)) {
		from, to, _ := strings.Cut(pair, " ")
		fmt.Fprintf(b, "    %s -- \"HTTPS to %s.\" --> %s\n", from, join(calls[pair]), to)
	}
	b.WriteString("```\n\n")
}

// owners are the names in the base domain, each with its system.
func owners(w *policy.World) map[string]string {
	owner := map[string]string{}
	for _, system := range order {
		for _, s := range w.System(system) {
			for _, r := range s.Of("AWS::Route53::RecordSet") {
				owner[strings.TrimSuffix(r.Text("Name"), "."+w.Manifest.Environments[w.Env].Domain)] = system
			}
		}
	}
	return owner
}

// called are the names of other systems that a system's tasks are told to call.
func called(w *policy.World, system string, owner map[string]string) []string {
	var values []string
	for _, s := range w.System(system) {
		for _, task := range s.Of("AWS::ECS::TaskDefinition") {
			values = append(values, texts(task.Get("ContainerDefinitions"))...)
		}
	}
	var names []string
	for name, other := range owner {
		address := "https://" + name + "." + w.Manifest.Environments[w.Env].Domain
		if other != system && slices.ContainsFunc(values, func(v string) bool { return strings.HasPrefix(v, address) }) {
			names = append(names, name)
		}
	}
	return names
}

// texts are all texts in a value.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, inner := range v {
			all = append(all, texts(inner)...)
		}
		return all
	case map[string]any:
		var all []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			all = append(all, texts(v[key])...)
		}
		return all
	}
	return nil
}

// network draws one system: subnets, what lives in them, and every way that packets may go.
func network(b *strings.Builder, w *policy.World, system string) {
	all := w.System(system)
	fmt.Fprintf(b, "## mpac-%s\n\nAn arrow is a pair of security-group rules; what has no arrow is closed.\n\n```mermaid\nflowchart LR\n    world((internet))\n", system)
	tiers, labels := members(all)
	for _, tier := range []string{"Public", "Private", "Database"} {
		if len(tiers[tier]) == 0 {
			continue
		}
		fmt.Fprintf(b, "    subgraph %s_%s [\"%s %s\"]\n", system, tier, strings.ToLower(tier), cidrs(all, tier))
		for _, g := range tiers[tier] {
			fmt.Fprintf(b, "        %s[\"%s\"]\n", g, labels[g])
		}
		b.WriteString("    end\n")
	}
	edges, _ := policy.Reach(all)
	ports, aside := map[string][]string{}, map[string][]string{}
	for _, e := range edges {
		switch e.To {
		case "internet", "s3", "Endpoint":
			aside[e.To] = append(aside[e.To], e.From)
		default:
			ports[e.From+" "+e.To] = append(ports[e.From+" "+e.To], e.Port)
		}
	}
	for _, pair := range slices.Sorted(maps.Keys(ports)) {
		from, to, _ := strings.Cut(pair, " ")
		fmt.Fprintf(b, "    %s -- \"%s\" --> %s\n", from, join(ports[pair]), to)
	}
	fmt.Fprintf(b, "```\n\nOut to the internet, port 443 only: %s. AWS's services by endpoints in the VPC: %s. S3 by its endpoint: %s.\n\n",
		join(aside["internet"]), join(aside["Endpoint"]), join(aside["s3"]))
}

// members are the security groups by the tier that what is behind them lives in, and what each is.
func members(all []*template.Stack) (tiers map[string][]string, labels map[string]string) {
	tiers, labels = map[string][]string{}, map[string]string{}
	where, what := map[string]string{}, map[string][]string{}
	for _, t := range policy.Things(all) {
		if t.Tier != "" {
			where[t.Group] = t.Tier
		}
		if t.Type == "AWS::ECS::Service" {
			what[t.Group] = append(what[t.Group], strings.TrimSuffix(t.Name, "Service"))
		}
	}
	for _, s := range all {
		for _, g := range s.Of("AWS::EC2::SecurityGroup") {
			name := strings.TrimSuffix(g.Name, "SecurityGroup")
			if name == "Endpoint" {
				continue
			}
			if where[name] == "" {
				where[name] = "Private" // one-off tasks
			}
			tiers[where[name]] = append(tiers[where[name]], name)
			labels[name] = g.Text("GroupDescription")
			if len(what[name]) > 1 {
				labels[name] += "<br/>" + join(what[name])
			}
		}
	}
	return tiers, labels
}

func cidrs(all []*template.Stack, tier string) string {
	var found []string
	for _, s := range all {
		for _, r := range s.Of("AWS::EC2::Subnet") {
			if strings.HasPrefix(r.Name, tier+"Subnet") {
				found = append(found, r.Text("CidrBlock"))
			}
		}
	}
	return strings.Join(found, " ")
}

// services is a table of what runs.
func services(b *strings.Builder, worlds map[string]*policy.World) {
	b.WriteString("| service | vCPU / GB | port | load balancer asks | tasks dev | stg | prod |\n|---|---|---|---|---|---|---|\n")
	for _, system := range order {
		for _, s := range worlds["prod"].System(system) {
			for _, r := range s.Of("AWS::ECS::Service") {
				name := strings.TrimSuffix(r.Name, "Service")
				task, targets := s.Resources[r.Ref("TaskDefinition").Resource], s.Resources[name+"TargetGroup"]
				if strings.HasSuffix(name, "Green") {
					continue
				}
				label := template.Text(task.Get("ContainerDefinitions.0.Name"))
				if strings.HasSuffix(name, "Blue") {
					label += " (twice: blue, green)"
				}
				fmt.Fprintf(b, "| %s | %s / %s | %s | %s |", label, thousandth(task.Text("Cpu")), thousandth(task.Text("Memory")), r.Text("LoadBalancers.0.ContainerPort"), targets.Text("HealthCheckPath"))
				for _, env := range environments {
					fmt.Fprintf(b, " %s |", counts(worlds[env].Stacks[s.Name], name))
				}
				b.WriteString("\n")
			}
		}
	}
	b.WriteString("\n")
}

func thousandth(text string) string {
	if number := map[string]string{"512": "0.5", "1024": "1", "2048": "2", "4096": "4"}[text]; number != "" {
		return number
	}
	return text
}

func counts(s *template.Stack, name string) string {
	target := s.Resources[name+"Scaling"]
	if target == nil {
		return s.Resources[name+"Service"].Text("DesiredCount")
	}
	return target.Text("MinCapacity") + "-" + target.Text("MaxCapacity")
}

// differences is a table of what an environment's size and care are.
func differences(b *strings.Builder, worlds map[string]*policy.World) {
	b.WriteString("| | dev | stg | prod |\n|---|---|---|---|\n")
	row := func(what string, value func(w *policy.World) string) {
		fmt.Fprintf(b, "| %s |", what)
		for _, env := range environments {
			fmt.Fprintf(b, " %s |", value(worlds[env]))
		}
		b.WriteString("\n")
	}
	for _, system := range []string{"smartpos", "pgw"} {
		database := func(path string) func(w *policy.World) string {
			return func(w *policy.World) string { return w.Stacks[system].Resources["Database"].Text(path) }
		}
		row("mpac-"+system+": PostgreSQL", database("DBInstanceClass"))
		row("mpac-"+system+": two zones", database("MultiAZ"))
		row("mpac-"+system+": days of backups", database("BackupRetentionPeriod"))
		row("mpac-"+system+": deletion protection", database("DeletionProtection"))
		row("mpac-"+system+": Redis", func(w *policy.World) string {
			r := w.Stacks[system].Resources["Redis"]
			return r.Text("NumCacheClusters") + " x " + r.Text("CacheNodeType")
		})
	}
	for _, system := range order {
		row("mpac-"+system+": NAT gateways", func(w *policy.World) string {
			n := 0
			for _, s := range w.System(system) {
				n += len(s.Of("AWS::EC2::NatGateway"))
			}
			return fmt.Sprint(n)
		})
		row("mpac-"+system+": alarms", func(w *policy.World) string {
			n := 0
			for _, s := range w.System(system) {
				n += len(s.Of("AWS::CloudWatch::Alarm"))
			}
			return fmt.Sprint(n)
		})
	}
	b.WriteString("\n")
}

// stacks draws the order, and what each takes from another.
func stacks(b *strings.Builder, w *policy.World) {
	b.WriteString("A solid arrow is the order within a system; a dotted one is a value that is taken when it is there.\n\n```mermaid\nflowchart LR\n")
	for _, s := range w.Manifest.Stacks() {
		optional := ""
		if s.Optional != "" {
			optional = "<br/>(optional)"
		}
		fmt.Fprintf(b, "    %s[\"%s%s\"]\n", s.Name, s.Template, optional)
	}
	for _, s := range w.Manifest.Stacks() {
		for _, need := range s.Needs {
			fmt.Fprintf(b, "    %s --> %s\n", need, s.Name)
		}
		taken := map[string][]string{}
		for _, parameter := range slices.Sorted(maps.Keys(s.Parameters)) {
			for _, ref := range s.Parameters[parameter].Refs() {
				from, output, _ := strings.Cut(ref, ".")
				if !slices.Contains(s.Needs, from) {
					taken[from] = append(taken[from], output)
				}
			}
		}
		for _, from := range slices.Sorted(maps.Keys(taken)) {
			fmt.Fprintf(b, "    %s -. \"%s\" .-> %s\n", from, join(taken[from]), s.Name)
		}
	}
	b.WriteString("```\n")
}
