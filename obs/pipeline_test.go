package obs_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/scanner"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
)

// What the stand-in lacks of Alloy's pipeline, and why. Nothing else may differ.
var lacking = map[string]string{
	"otelcol.connector.spanmetrics.red":    "the connector can't be had; nothing that is promised uses span metrics",
	"otelcol.connector.servicegraph.edges": "the connector can't be had; as span metrics",
	"prometheus.exporter.self.alloy":       "the Collector pushes its own figures by service.telemetry",
	"prometheus.scrape.alloy":              "as above",
	"otelcol.receiver.prometheus.alloy":    "as above",
}

// part is a component with its settings as dotted paths, and what it hands to.
type part struct {
	settings map[string]string
	next     map[string][]string // by signal
}

// alloyBlock is a block of Alloy's language.
type alloyBlock struct {
	kind, label string
	attributes  map[string]string // expressions as written, without spaces
	blocks      []*alloyBlock
}

// parseAlloy reads the part of Alloy's language that a pipeline needs: blocks, attributes, expressions as text.
func parseAlloy(t *testing.T, text string) *alloyBlock {
	t.Helper()
	var s scanner.Scanner
	s.Init(strings.NewReader(text))
	s.Whitespace ^= 1 << '\n' // an attribute ends with its line
	s.Error = func(_ *scanner.Scanner, msg string) { t.Fatal(msg) }
	root := &alloyBlock{attributes: map[string]string{}}
	readBlock(t, &s, root)
	return root
}

func readBlock(t *testing.T, s *scanner.Scanner, into *alloyBlock) {
	t.Helper()
	for tok := s.Scan(); tok != scanner.EOF && tok != '}'; tok = s.Scan() {
		if tok == '\n' {
			continue
		}
		name := s.TokenText()
		for tok = s.Scan(); tok == '.'; tok = s.Scan() {
			s.Scan()
			name += "." + s.TokenText()
		}
		switch tok {
		case '=':
			into.attributes[name] = readExpression(s)
		case '{', scanner.String:
			b := &alloyBlock{kind: name, attributes: map[string]string{}}
			if tok == scanner.String {
				b.label = strings.Trim(s.TokenText(), `"`)
				s.Scan()
			}
			readBlock(t, s, b)
			into.blocks = append(into.blocks, b)
		default:
			t.Fatalf("%s: %q is not expected after %s", s.Pos(), s.TokenText(), name)
		}
	}
}

func readExpression(s *scanner.Scanner) string {
	var out strings.Builder
	depth := 0
	for {
		tok := s.Scan()
		switch tok {
		case '[', '(', '{':
			depth++
		case ']', ')', '}':
			depth--
		case scanner.EOF:
			return out.String()
		case '\n':
			if depth == 0 {
				return out.String()
			}
			continue
		}
		out.WriteString(s.TokenText())
	}
}

var (
	fromEnvironment = regexp.MustCompile(`(?:encoding\.from_json\()?sys\.env\("([A-Z_]+)"\)\)?`)
	reference       = regexp.MustCompile(`(otelcol\.[a-z_.]+)\.input`)
)

// settled brings an expression of Alloy's and a value of the Collector's to one form.
func settled(expression string) string {
	e := fromEnvironment.ReplaceAllString(expression, "${env:$1}")
	e = strings.NewReplacer(`"`, "", "+", "", "[", "", "]", "").Replace(e)
	e = strings.TrimSuffix(e, ",")
	switch e {
	case "8MiB", "8388608", "8":
		return "8 MiB"
	}
	return e
}

func alloyParts(t *testing.T) map[string]part {
	t.Helper()
	text, err := os.ReadFile("alloy/config.alloy")
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]part{}
	for _, b := range parseAlloy(t, string(text)).blocks {
		if b.label == "" {
			continue // Alloy's own logging
		}
		p := part{settings: map[string]string{}, next: map[string][]string{}}
		flatten(b, "", p)
		parts[b.kind+"."+b.label] = p
	}
	return parts
}

func flatten(b *alloyBlock, prefix string, p part) {
	for name, expression := range b.attributes {
		p.settings[prefix+name] = settled(expression)
	}
	for _, child := range b.blocks {
		switch child.kind {
		case "output":
			for signal, expression := range child.attributes {
				for _, m := range reference.FindAllStringSubmatch(expression, -1) {
					p.next[signal] = append(p.next[signal], m[1])
				}
			}
		case "policy":
			flatten(child, prefix+"policy."+strings.Trim(child.attributes["name"], `"`)+".", p)
		default:
			flatten(child, prefix+child.kind+".", p)
		}
	}
}

// The Collector's names in Alloy's words.
var collectorKinds = map[string]string{
	"otlp": "otelcol.receiver.otlp", "memory_limiter": "otelcol.processor.memory_limiter", "tail_sampling": "otelcol.processor.tail_sampling",
	"bearertokenauth": "otelcol.auth.bearer", "batch": "otelcol.processor.batch", "otlp_http": "otelcol.exporter.otlphttp", "otlp_grpc": "otelcol.exporter.otlp",
}

type collectorConfig struct {
	Receivers, Processors, Exporters, Extensions map[string]map[string]any
	Service                                      struct {
		Pipelines map[string]struct{ Receivers, Processors, Exporters []string }
	}
}

func collectorParts(t *testing.T) map[string]part {
	t.Helper()
	parts := map[string]part{}
	var c collectorConfig
	for _, file := range []string{"collector/token.yaml", "collector/config.yaml"} { // as the Collector lays one over the other
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c = collectorConfig{}
		if err := yaml.Unmarshal(text, &c); err != nil {
			t.Fatal(err)
		}
		delete(c.Extensions, "health_check") // Alloy's own is at its own port
		for _, section := range []map[string]map[string]any{c.Receivers, c.Processors, c.Exporters, c.Extensions} {
			for name, settings := range section {
				p, there := parts[inAlloysWords(name)]
				if !there {
					p = part{settings: map[string]string{}, next: map[string][]string{}}
					parts[inAlloysWords(name)] = p
				}
				flattenYAML(settings, "", p.settings)
			}
		}
	}
	for _, p := range parts { // who is asked, in Alloy's words
		for name, value := range p.settings {
			if at, ok := strings.CutSuffix(name, ".authenticator"); ok {
				delete(p.settings, name)
				p.settings[at] = inAlloysWords(value) + ".handler"
			}
		}
	}
	for signal, pipeline := range c.Service.Pipelines {
		chain := slices.Concat(pipeline.Receivers, pipeline.Processors, pipeline.Exporters)
		for i := range len(chain) - 1 {
			parts[inAlloysWords(chain[i])].next[signal] = []string{inAlloysWords(chain[i+1])}
		}
	}
	return parts
}

func inAlloysWords(name string) string {
	kind, label, _ := strings.Cut(name, "/")
	return collectorKinds[kind] + "." + label
}

// Where Alloy has another name for the same setting.
var renamed = strings.NewReplacer("protocols.", "", "max_recv_msg_size_mib", "max_recv_msg_size")

func flattenYAML(v any, prefix string, into map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		for name, child := range v {
			next := prefix + name + "."
			if name == "policies" {
				for _, policy := range child.([]any) {
					flattenYAML(policy, prefix+"policy."+policy.(map[string]any)["name"].(string)+".", into)
				}
				continue
			}
			flattenYAML(child, next, into)
		}
	case []any:
		var words []string
		for _, w := range v {
			words = append(words, text(w))
		}
		into[renamed.Replace(strings.TrimSuffix(prefix, "."))] = settled(strings.Join(words, ","))
	default:
		into[renamed.Replace(strings.TrimSuffix(prefix, "."))] = settled(text(v))
	}
}

func text(v any) string {
	out, _ := yaml.Marshal(v) // a scalar always can be
	return strings.Trim(strings.TrimSpace(string(out)), `'"`)
}

// Components, their order and their settings are the same but for what is listed.
func TestTheStandInRunsAlloysPipeline(t *testing.T) {
	t.Parallel()
	alloy, collector := alloyParts(t), collectorParts(t)
	for name := range lacking {
		if _, there := alloy[name]; !there {
			t.Errorf("%s is listed as lacking, and Alloy does not have it", name)
		}
		delete(alloy, name)
	}
	for _, p := range alloy {
		for signal, next := range p.next {
			p.next[signal] = slices.DeleteFunc(next, func(n string) bool { return lacking[n] != "" })
		}
		for name, value := range p.settings { // Alloy keeps endpoints of exporters under client
			if after, ok := strings.CutPrefix(name, "client."); ok {
				delete(p.settings, name)
				p.settings[after] = value
			}
		}
	}
	if diff := cmp.Diff(alloy, collector, cmp.AllowUnexported(part{})); diff != "" {
		t.Errorf("Alloy's pipeline (-) and the stand-in's (+) differ:\n%s", diff)
	}
}

// Before sampling come the memory limiter and what counts spans; after it only what is kept.
func TestAlloyCountsBeforeItSamples(t *testing.T) {
	t.Parallel()
	alloy := alloyParts(t)
	want := []string{"otelcol.connector.spanmetrics.red", "otelcol.connector.servicegraph.edges", "otelcol.processor.tail_sampling.keep"}
	if diff := cmp.Diff(want, alloy["otelcol.processor.memory_limiter.guard"].next["traces"]); diff != "" {
		t.Error(diff)
	}
	for signal, next := range alloy["otelcol.receiver.otlp.ingress"].next {
		if !slices.Equal(next, []string{"otelcol.processor.memory_limiter.guard"}) {
			t.Errorf("%s do not meet the memory limiter first: %v", signal, next)
		}
	}
	for name, p := range alloy {
		if strings.Contains(name, "receiver.otlp") && (p.settings["http.auth"] == "" || p.settings["grpc.auth"] == "") {
			t.Errorf("%s takes telemetry without a token", name)
		}
	}
}
