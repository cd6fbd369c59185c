package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/internal/ops/console"
)

func TestReckoned(t *testing.T) {
	t.Parallel()
	total, taxes := reckoned(ordered)
	// 1,847 at 8 % within: 136.8; 1,620 at 10 % within: 147.2.
	if diff := cmp.Diff(map[int64]int64{8: 136, 10: 147}, taxes); total != 3467 || diff != "" {
		t.Errorf("%d %s", total, diff)
	}
	if total%2 == 0 {
		t.Error("an even total splits too easily to show anything")
	}
}

func TestDenominationsComeToTheSum(t *testing.T) {
	t.Parallel()
	worth := map[string]int64{"10000": 10000, "5000": 5000, "1000": 1000, "500": 500, "100": 100, "50": 50, "10": 10, "5": 5, "1": 1}
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Int64Range(0, 1_000_000).Draw(t, "amount")
		sum := int64(0)
		for piece, n := range denominations(amount) {
			sum += worth[piece] * n
		}
		if sum != amount {
			t.Fatalf("%d became %d", amount, sum)
		}
	})
}

func TestYen(t *testing.T) {
	t.Parallel()
	for amount, want := range map[int64]string{0: "¥0", 999: "¥999", 1000: "¥1,000", 1234567: "¥1,234,567", -50000: "-¥50,000"} {
		if got := yen(amount); got != want {
			t.Errorf("%d: %s", amount, got)
		}
	}
}

// What is off must be seen: each of these receipts has one thing wrong.
func TestReceiptsThatAreOff(t *testing.T) {
	t.Parallel()
	good := func() receipt {
		var r receipt
		text := `{"number":"1","date":"2026-11-01","issuer":{"name":"Hikari","registration_number":"T1"},"total":108,"tax":8,"qualified":true,
			"items":[{"name":"Tea","mark":"*"}],"rates":[{"rate":8,"taxable":100,"tax":8,"total":108}]}`
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	paid := payment{Amount: 108}
	if r := good(); r.check(paid) != nil {
		t.Fatal(r.check(paid))
	}
	for name, spoil := range map[string]func(*receipt){
		"a yen more":        func(r *receipt) { r.Total++ },
		"a yen of tax less": func(r *receipt) { r.Tax-- },
		"not qualified":     func(r *receipt) { r.Qualified = false },
		"no issuer":         func(r *receipt) { r.Issuer.Name = "" },
		"no number of his":  func(r *receipt) { r.Issuer.RegistrationNumber = "" },
		"no mark":           func(r *receipt) { r.Items[0].Mark = "" },
		"rate does not sum": func(r *receipt) { r.Rates[0].Taxable++ },
	} {
		r := good()
		spoil(&r)
		if r.check(paid) == nil {
			t.Errorf("%s went unnoticed", name)
		}
	}
}

func TestStoryIsPlainWithoutATerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := NewStory(console.New(&out))
	s.Chapter("A store opens")
	s.Step(Step{Number: 1, Who: "owner", What: "signs in", Result: "owner@example.com", Millis: 12, OK: true})
	s.Step(Step{Number: 2, Who: "staff", What: "pays", Problem: "refused", Millis: 3})
	s.Paper([]string{"日本", "ab"})
	s.End(time.Second, 2, errors.New("step 2: refused"))
	text := out.String()
	for _, said := range []string{"A store opens", "owner@example.com", "12 ms", "✗", "refused", "│ ab   │", "The demo stopped"} {
		if !strings.Contains(text, said) {
			t.Errorf("%q is missing in\n%s", said, text)
		}
	}
	if strings.Contains(text, "\x1b") {
		t.Error("there is colour in a file")
	}
}

func TestLinesAreJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := NewLines(&out)
	l.Chapter("A store opens")
	l.Step(Step{Number: 1, Who: "owner", OK: true, Facts: map[string]any{"store_id": "s"}})
	l.Paper([]string{"a", "b"})
	l.End(time.Second, 1, nil)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines", len(lines))
	}
	var step, end map[string]any
	if err := errors.Join(json.Unmarshal([]byte(lines[0]), &step), json.Unmarshal([]byte(lines[2]), &end)); err != nil {
		t.Fatal(err)
	}
	if step["chapter"] != "A store opens" || step["step"] != 1.0 || end["done"] != true {
		t.Errorf("%v %v", step, end)
	}
}
