package drills_test

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// What a hurried rule waits at most.
const (
	window   = time.Minute
	holdsFor = 2 * time.Second
	every    = "2s"
)

var (
	ranges   = regexp.MustCompile(`\[(\d+)([smhd])\]`)
	offsets  = regexp.MustCompile(`(offset )(\d+)([smhd])\b`)
	holds    = regexp.MustCompile(`(?m)^(\s+for: )(\d+)([smhd])$`)
	perRule  = regexp.MustCompile(`(?m)^\s+- (?:alert|record): `)
	perGroup = regexp.MustCompile(`(?m)^(\s+)- name: .*$`)
	global   = regexp.MustCompile(`(?m)^(\s+evaluation_interval: )\d+[smhd]$`)
	regroup  = regexp.MustCompile(`(?m)^(\s+group_interval: )5m$`)
)

var units = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}

func duration(number, unit string) time.Duration {
	n, _ := strconv.Atoi(number) // digits, by the pattern
	return time.Duration(n) * units[unit]
}

func shortened(d, most time.Duration) string {
	return strconv.Itoa(int(min(d, most)/time.Second)) + "s"
}

// hurryRules shortens what a file of rules waits for: windows to a minute, offsets to a minute, `for` to two seconds. Where one
// expression has windows of different lengths they keep their proportion, for their difference is what the rule is about. No
// threshold changes.
func hurryRules(text string) string {
	starts := append(perRule.FindAllStringIndex(text, -1), []int{len(text)})
	var out strings.Builder
	out.WriteString(text[:starts[0][0]])
	for i, start := range starts[:len(starts)-1] {
		out.WriteString(hurryRule(text[start[0]:starts[i+1][0]]))
	}
	return perGroup.ReplaceAllString(out.String(), "$0\n$1  interval: "+every)
}

func hurryRule(text string) string {
	var shortest time.Duration
	for _, w := range ranges.FindAllStringSubmatch(text, -1) {
		shortest = min(cmp.Or(shortest, duration(w[1], w[2])), duration(w[1], w[2]))
	}
	text = ranges.ReplaceAllStringFunc(text, func(found string) string {
		w := ranges.FindStringSubmatch(found)
		most := time.Duration(float64(window) * float64(duration(w[1], w[2])) / float64(shortest))
		return "[" + shortened(duration(w[1], w[2]), most) + "]"
	})
	text = offsets.ReplaceAllStringFunc(text, func(found string) string {
		w := offsets.FindStringSubmatch(found)
		return w[1] + shortened(duration(w[2], w[3]), window)
	})
	return holds.ReplaceAllStringFunc(text, func(found string) string {
		w := holds.FindStringSubmatch(found)
		return w[1] + shortened(duration(w[2], w[3]), holdsFor)
	})
}

// hurryPrometheus has prometheus.yml's rules evaluated every two seconds.
func hurryPrometheus(text string) string { return global.ReplaceAllString(text, "${1}"+every) }

// hurryAlertmanager has alertmanager.yml's groups send what is new, and what is over, after five seconds instead of five
// minutes.
func hurryAlertmanager(text string) string { return regroup.ReplaceAllString(text, "${1}5s") }
