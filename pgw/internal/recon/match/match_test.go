package match_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/pgw/internal/recon"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/format"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/match"
)

var (
	noon = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	day  = match.Day{Date: "2026-11-21", Now: noon.Add(time.Hour), Settling: noon.Add(59 * time.Minute)}
)

func line(number int, entry format.Entry, outcome format.Outcome, ref string, amount int64) match.Line {
	return match.Line{Day: day.Date, Line: format.Line{
		Number: number, Entry: entry, Outcome: outcome, ProviderID: "pp", Reference: ref, AcceptedAt: noon.Add(time.Duration(number) * time.Second), Amount: amount, Currency: "JPY",
	}}
}

func item(id string, entry format.Entry, state match.State, amount int64) match.Item {
	return match.Item{
		ID: id, Entry: entry, AttemptID: "pa_1", IntentID: "pi_1", State: state, Status: string(state), Amount: amount, Currency: "JPY", AcceptedAt: noon,
		InWindow: true, Due: true,
	}
}

// result is a verdict in a word.
func result(v match.Verdict) string {
	word := string(v.Result)
	if v.Result == match.Exception {
		word = string(v.Kind)
	}
	if v.Item != nil {
		word += " " + v.Item.ID
	}
	if v.Line != nil {
		word += fmt.Sprint(" ", v.Line.Number)
	}
	return word
}

func TestJudge(t *testing.T) {
	t.Parallel()
	const charge, refund, completed, failed = format.Charge, format.Refund, format.Completed, format.Failed
	paid := item("pa_1", charge, match.Taken, 500)
	unknown := item("pa_1", charge, match.Open, 500)
	settled, settledToday, notDue := paid, paid, paid
	settled.SettledDay, settledToday.SettledDay, notDue.Due = "2026-11-20", day.Date, false
	fresh := line(1, charge, completed, "pa_1", 500)
	fresh.AcceptedAt = day.Now.Add(-time.Second)
	future := fresh
	future.AcceptedAt = day.Now.Add(time.Hour)
	smudged := line(1, charge, completed, "pa_1", 0)
	smudged.Unreadable, smudged.Key = "smudged", "line:1"
	for name, c := range map[string]struct {
		items []match.Item
		lines []match.Line
		known bool
		want  []string
	}{
		"agree":                      {[]match.Item{paid}, []match.Line{line(1, charge, completed, "pa_1", 500)}, false, []string{"matched pa_1 1"}},
		"the right amount wins":      {[]match.Item{paid}, []match.Line{line(1, charge, completed, "pa_1", 499), line(2, charge, completed, "pa_1", 500)}, false, []string{"matched pa_1 2", "duplicate_at_provider 1"}},
		"unknown and fresh":          {[]match.Item{unknown}, []match.Line{fresh}, false, []string{"not_due pa_1 1"}},
		"unknown, of the future":     {[]match.Item{unknown}, []match.Line{future}, false, []string{"status_differs pa_1 1"}},
		"unknown and old":            {[]match.Item{unknown}, []match.Line{line(1, charge, completed, "pa_1", 500)}, false, []string{"status_differs pa_1 1"}},
		"absent, not due":            {[]match.Item{notDue}, nil, false, []string{"not_due pa_1"}},
		"settled by another day":     {[]match.Item{settled}, []match.Line{line(1, charge, completed, "pa_1", 500)}, false, []string{"duplicate_at_provider 1"}},
		"settled by this line":       {[]match.Item{settledToday}, []match.Line{line(1, charge, completed, "pa_1", 500)}, false, []string{"agreed 1"}},
		"declined by all":            {nil, []match.Line{line(1, charge, failed, "pa_1", 500)}, false, []string{"agreed 1"}},
		"unknown refund":             {nil, []match.Line{line(1, refund, completed, "re_9", -5)}, false, []string{"refund_without_charge 1"}},
		"unknown refund, known sale": {nil, []match.Line{line(1, refund, completed, "re_9", -5)}, true, []string{"missing_at_gateway 1"}},
		"refund of a failed charge":  {[]match.Item{item("pa_1", charge, match.Failed, 500)}, []match.Line{line(1, refund, completed, "pa_1", -500)}, false, []string{"refund_without_charge 1"}},
		"unreadable line of ours":    {[]match.Item{paid}, []match.Line{smudged}, false, []string{"unparsable pa_1 1"}},
		"unreadable, and a good one": {[]match.Item{paid}, []match.Line{smudged, line(2, charge, completed, "pa_1", 500)}, false, []string{"matched pa_1 2", "unparsable 1"}},
		"sale and refund unknown":    {nil, []match.Line{line(1, charge, completed, "pa_1", 500), line(2, refund, completed, "pa_1", -500)}, false, []string{"missing_at_gateway 1", "missing_at_gateway 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, v := range day.Judge(match.Group{Key: "pa_1", Items: c.items, Lines: c.lines, ChargeKnown: c.known}) {
				got = append(got, result(v))
			}
			if diff := gocmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Whatever a group holds: each line gets exactly one verdict, no item gets two, an item that is due and not settled gets one, exceptions
// of a group have keys of their own, and the order in which rows arrive does not matter.
func TestNothingVanishes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := group(t)
		verdicts := day.Judge(clone(g))
		lines, items, keys := map[int]int{}, map[string]int{}, map[string]bool{}
		for _, v := range verdicts {
			if v.Line != nil {
				lines[v.Line.Number]++
			}
			if v.Item != nil {
				items[v.Item.ID]++
			}
			if v.Result == match.Exception {
				if keys[v.Key] {
					t.Fatalf("two exceptions of %s", v.Key)
				}
				keys[v.Key] = true
			}
		}
		for _, l := range g.Lines {
			if lines[l.Number] != 1 {
				t.Fatalf("line %+v has %d verdicts: %v", l, lines[l.Number], words(verdicts))
			}
		}
		for _, it := range g.Items {
			due := it.InWindow && it.SettledDay == "" && (it.State == match.Taken || it.State == match.Late)
			if n := items[it.ID]; n > 1 || due && n == 0 {
				t.Fatalf("item %+v has %d verdicts: %v", it, n, words(verdicts))
			}
		}
		shuffled := clone(g)
		if len(g.Lines) > 0 {
			shuffled.Lines = rapid.Permutation(g.Lines).Draw(t, "order of lines")
		}
		if len(g.Items) > 0 {
			shuffled.Items = rapid.Permutation(g.Items).Draw(t, "order of items")
		}
		if diff := gocmp.Diff(words(verdicts), words(day.Judge(shuffled))); diff != "" {
			t.Fatal(diff)
		}
	})
}

func words(verdicts []match.Verdict) (all []string) {
	for _, v := range verdicts {
		all = append(all, result(v)+" "+v.Key)
	}
	slices.Sort(all)
	return all
}

func clone(g match.Group) match.Group {
	g.Lines, g.Items = slices.Clone(g.Lines), slices.Clone(g.Items)
	return g
}

func group(t *rapid.T) match.Group {
	amounts := rapid.SampledFrom([]int64{100, 200})
	states := rapid.SampledFrom([]match.State{match.Taken, match.Taken, match.Late, match.Failed, match.Open})
	g := match.Group{Key: "pa_1", ChargeKnown: rapid.Bool().Draw(t, "known")}
	vary := func(it match.Item) {
		it.InWindow, it.Due = rapid.Bool().Draw(t, "in window"), rapid.Bool().Draw(t, "due")
		it.SettledDay = rapid.SampledFrom([]string{"", "", "2026-11-20", day.Date}).Draw(t, "settled")
		g.Items = append(g.Items, it)
	}
	if rapid.Bool().Draw(t, "charge") {
		vary(item("pa_1", format.Charge, states.Draw(t, "state"), amounts.Draw(t, "amount")))
	}
	refunds := rapid.IntRange(0, 3).Draw(t, "refunds")
	for n := range refunds {
		it := item(fmt.Sprint("re_", n), format.Refund, states.Filter(func(s match.State) bool { return s != match.Late }).Draw(t, "state"), -amounts.Draw(t, "amount"))
		it.Return = n == 0 && rapid.Bool().Draw(t, "return")
		vary(it)
	}
	references := []string{"pa_1"}
	for n := range refunds {
		references = append(references, fmt.Sprint("re_", n))
	}
	for n := range rapid.IntRange(0, 6).Draw(t, "lines") {
		ref := rapid.SampledFrom(references).Draw(t, "reference")
		entry, amount := format.Charge, amounts.Draw(t, "amount")
		if ref != "pa_1" || rapid.Bool().Draw(t, "refund") {
			entry, amount = format.Refund, -amount
		}
		l := line(n+2, entry, rapid.SampledFrom([]format.Outcome{format.Completed, format.Failed}).Draw(t, "outcome"), ref, amount)
		l.AcceptedAt = noon.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "second")) * time.Second)
		if rapid.IntRange(0, 4).Draw(t, "unreadable") == 0 {
			l.Unreadable, l.Key = "smudged", fmt.Sprint("line:", l.Number)
		}
		g.Lines = append(g.Lines, l)
	}
	slices.SortFunc(g.Lines, func(a, b match.Line) int { return cmp.Compare(a.Number, b.Number) })
	return g
}

func TestGrade(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		stake int64
		age   time.Duration
		want  recon.Severity
		due   time.Duration
	}{
		{100_000, 0, recon.Critical, 24 * time.Hour},
		{99_999, 0, recon.High, 72 * time.Hour},
		{10_000, 0, recon.High, 72 * time.Hour},
		{9_999, 0, recon.Medium, 120 * time.Hour},
		{999, 23 * time.Hour, recon.Low, 168 * time.Hour},
		{0, 0, recon.Low, 168 * time.Hour},
		{1, 24 * time.Hour, recon.Medium, 120 * time.Hour},
		{1, 72 * time.Hour, recon.High, 72 * time.Hour},
		{1, 120 * time.Hour, recon.Critical, 24 * time.Hour},
	} {
		severity, due := recon.Grade(c.stake, noon.Add(-c.age), noon, noon)
		if severity != c.want || !due.Equal(noon.Add(c.due)) {
			t.Errorf("%d after %s: %s due %s", c.stake, c.age, severity, due)
		}
	}
}

// An id follows from what it is of: the same everywhere, another for anything else.
func TestIDs(t *testing.T) {
	t.Parallel()
	a := recon.Scope{PartnerID: "cp_1", Mode: "test", Provider: "paypay", ContractID: "8181"}
	again, b := a, a
	b.ContractID = "81811"
	if a.RunID(noon) != again.RunID(noon) || a.RunID(noon) == b.RunID(noon) || a.RunID(noon) == a.RunID(noon.Add(time.Hour)) {
		t.Error("run ids")
	}
	if a.ExceptionID(noon, "charge:pa_1") != again.ExceptionID(noon, "charge:pa_1") || a.ExceptionID(noon, "charge:pa_1") == a.ExceptionID(noon, "charge:pa_2") {
		t.Error("exception ids")
	}
	if got := a.RunID(noon); len(got) != 29 || got[:3] != "rr_" {
		t.Error(got)
	}
}
