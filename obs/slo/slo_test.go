package slo

import (
	"strings"
	"testing"
)

const valid = `
window: 30d
burn: [{alert: Fast, factor: 14.4, long: 1h, short: 5m, for: 2m, severity: page}]
slos:
  - {name: a, objective: 99.9, by: [service_name], describes: d, meaning: m, bad: 'rate(bad[WINDOW])', total: 'rate(all[WINDOW])'}
  - {name: b, objective: 95, by: [service_name], describes: d, meaning: m, good: 'rate(good[WINDOW])', total: 'rate(all[WINDOW])'}
  - {name: c, objective: 99, by: [provider], describes: d, meaning: m, kind: time, bad: 'late > bool 0'}
`

func TestRulesOfEachKind(t *testing.T) {
	t.Parallel()
	spec, err := Parse([]byte(valid))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := spec.Rules()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"(rate(bad[5m])) or 0 * (rate(all[5m]))", "1 - (rate(good[1h]))", "avg_over_time((late > bool 0)[1h:1m])",
		`slo:bad:ratio_rate1h{slo="a"} > 0.0144`, `slo:bad:ratio_rate5m{slo="b"} > 0.72`, `slo:bad:ratio_rate1h{slo="c"} > 0.144`,
	} {
		if !strings.Contains(string(rules), want) {
			t.Errorf("no %q in:\n%s", want, rules)
		}
	}
}

func TestParseRefusesPromisesThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][2]string{
		"no such objective": {"99.9", "100"},
		"can never fire":    {"objective: 95", "objective: 90"},
		"a word too many":   {"describes: d", "describe: d"},
		"neither good, bad": {"good: 'rate(good[WINDOW])', ", ""},
		"time with a total": {"kind: time", "kind: time, total: x"},
		"no business to it": {"meaning: m, good", "good"},
	} {
		if _, err := Parse([]byte(strings.Replace(valid, change[0], change[1], 1))); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
