package format_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/japanese"
	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/pgw/internal/recon/format"
)

const header = "決済番号,加盟店ID,屋号,店舗ID,店舗名,端末番号/PosID,取引ステータス,取引日時,取引金額,レシート番号,支払い方法,マーチャント決済ID,支払い詳細"

const contract = "000000000000008181"

// row is one line as PayPay writes it.
func row(ref, status, amount string) string {
	return "xx1," + contract + ",珈琲ソースケ,st_1,表参道店,0," + status + ",2026-11-21T10:53:25+09:00," + amount + ",,PayPay残高," + ref +
		`,"[{""paymentMethod"":""PayPay残高"",""amount"":480}]"`
}

func sjis(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := japanese.ShiftJIS.NewEncoder().Bytes([]byte(s))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

type outcome struct {
	lines    []format.Line
	rejected []format.Rejection
	tally    format.Tally
}

func readAll(tb testing.TB, file []byte) outcome {
	tb.Helper()
	out, err := read(file)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func read(file []byte) (outcome, error) {
	r := format.PayPay.NewReader(bytes.NewReader(file), contract)
	var out outcome
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			out.tally = r.Tally()
			return out, nil
		}
		if err != nil {
			return out, err
		}
		if rec.Rejected != nil {
			out.rejected = append(out.rejected, *rec.Rejected)
		} else {
			out.lines = append(out.lines, rec.Line)
		}
	}
}

var at = time.Date(2026, 11, 21, 1, 53, 25, 0, time.UTC)

func charge(number int, ref string, amount int64) format.Line {
	return format.Line{
		Number: number, Entry: format.Charge, Outcome: format.Completed, ProviderID: "xx1", Reference: ref, StoreID: "st_1",
		AcceptedAt: at, Amount: amount, Currency: "JPY",
	}
}

// One file in every dress it may come in reads the same.
func TestDresses(t *testing.T) {
	t.Parallel()
	text := strings.Join([]string{header, row("pa_1", "取引完了", "480"), row("re_1", "返金完了", "-480"), ""}, "\n")
	refund := charge(3, "re_1", -480)
	refund.Entry = format.Refund
	want := []format.Line{charge(2, "pa_1", 480), refund}
	dresses := map[string][]byte{
		"shift_jis":       sjis(t, text),
		"shift_jis, crlf": sjis(t, strings.ReplaceAll(text, "\n", "\r\n")),
		"utf-8":           []byte(text),
		"utf-8, bom":      []byte("\ufeff" + text),
		"bom, crlf":       []byte("\ufeff" + strings.ReplaceAll(text, "\n", "\r\n")),
		"no last newline": sjis(t, strings.TrimSuffix(text, "\n")),
		"blank lines":     sjis(t, strings.TrimSuffix(text, "\n")+"\n\n  \n"),
	}
	for name, file := range dresses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := readAll(t, file)
			if diff := cmp.Diff(want, got.lines); diff != "" {
				t.Error(diff)
			}
			if got.tally != (format.Tally{Lines: 2, Parsed: 2}) {
				t.Errorf("tally %+v", got.tally)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	line := row("pa_1", "取引完了", "480")
	before, _, _ := strings.Cut(line, `,"[`) // without the details
	cells := strings.Split(header, ",")
	short := strings.Join(cells[:12], ",")
	for name, c := range map[string]struct {
		file string
		line int
	}{
		"none":              {line + "\n", 1},
		"twelve columns":    {short + "\n" + before + "\n", 2},
		"none, twelve":      {before + "\n", 1},
		"blank line before": {"\n" + header + "\n" + line + "\n", 3},
		"details unquoted":  {header + "\n" + before + `,[{"a":1,"b":[2,3]}]` + "\n", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := readAll(t, sjis(t, c.file))
			if diff := cmp.Diff([]format.Line{charge(c.line, "pa_1", 480)}, got.lines); diff != "" {
				t.Error(diff, got.rejected)
			}
		})
	}
	t.Run("columns in another order", func(t *testing.T) {
		t.Parallel()
		got := readAll(t, []byte("取引金額,マーチャント決済ID,決済番号,加盟店ID,取引日時,取引ステータス,店舗ID,屋号,店舗名,端末番号/PosID,レシート番号,支払い方法\n"+
			"480,pa_1,xx1,"+contract+",2026/11/21 10:53:25,取引完了,st_1,,,,,\n"))
		if diff := cmp.Diff([]format.Line{charge(2, "pa_1", 480)}, got.lines); diff != "" {
			t.Error(diff, got.rejected)
		}
	})
	for name, file := range map[string]string{
		"another file":    "name,amount\na,1\n",
		"columns missing": "決済番号,加盟店ID,取引金額\n1,2,3\n",
		"html":            "<html><body>Sign in</body></html>\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := read([]byte(file)); !errors.Is(err, format.ErrNotThisFormat) {
				t.Errorf("error %v", err)
			}
		})
	}
	t.Run("empty file", func(t *testing.T) {
		t.Parallel()
		for _, file := range []string{"", "\ufeff", "\n\n", header + "\n"} {
			if got := readAll(t, []byte(file)); got.tally != (format.Tally{}) {
				t.Errorf("%q: %+v", file, got.tally)
			}
		}
	})
}

func TestAmounts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status, amount string
		want           int64
		reason         string
	}{
		{"取引完了", "480", 480, ""},
		{"取引完了", "+480", 480, ""},
		{"取引完了", `"1,234,567"`, 1234567, ""},
		{"取引完了", "１２，３４５", 12345, ""},
		{"取引完了", "１２３４", 1234, ""},
		{"取引完了", "￥480", 480, ""},
		{"取引完了", `\480`, 480, ""},
		{"取引完了", "480円", 480, ""},
		{"取引完了", "-480", 0, "negative"},
		{"取引完了", `"12,34"`, 0, "unreadable amount"},
		{"取引完了", "480.5", 0, "unreadable amount"},
		{"取引完了", "", 0, "unreadable amount"},
		{"取引完了", "4 80", 0, "unreadable amount"},
		{"取引完了", "1e3", 0, "unreadable amount"},
		{"取引完了", "99999999999999999999", 0, "out of range"},
		{"取引完了", "9999999999999", 0, "out of range"},
		{"返金完了", "-480", -480, ""},
		{"返金完了", "480", -480, ""},
		{"返金完了", "▲480", -480, ""},
		{"返金完了", "－４８０", -480, ""},
		{"取引失敗", "480", 480, ""},
		{"取引失敗", "-480", 480, ""},
		{"返金失敗", "-480", -480, ""},
	} {
		t.Run(c.status+c.amount, func(t *testing.T) {
			t.Parallel()
			file := header + "\n" + row("pa_1", c.status, c.amount) + "\n"
			got := readAll(t, []byte(file))
			if c.reason != "" {
				if len(got.rejected) != 1 || !strings.Contains(got.rejected[0].Reason, c.reason) || got.rejected[0].Number != 2 {
					t.Fatalf("rejected %+v, lines %+v", got.rejected, got.lines)
				}
				return
			}
			if len(got.lines) != 1 || got.lines[0].Amount != c.want {
				t.Fatalf("lines %+v, rejected %+v", got.lines, got.rejected)
			}
		})
	}
}

// A bad line is set aside with its number and its reason, and its neighbours are read.
func TestBadLines(t *testing.T) {
	t.Parallel()
	good := row("pa_1", "取引完了", "480")
	for name, c := range map[string]struct{ line, reason string }{
		"garbage":            {"\x00\xff\x81", "columns"},
		"too few columns":    {"a,b,c", "3 columns, expected 13"},
		"too many":           {good + ",x,y", "15 columns"},
		"status":             {row("pa_1", "保留", "480"), "unknown status"},
		"no reference":       {row("", "取引完了", "480"), "no merchant's reference"},
		"odd reference":      {row("pa 1", "取引完了", "480"), "no id has"},
		"long reference":     {row(strings.Repeat("a", 65), "取引完了", "480"), "longer than 64"},
		"date":               {strings.Replace(good, "2026-11-21T10:53:25+09:00", "yesterday", 1), "unreadable date"},
		"impossible date":    {strings.Replace(good, "2026-11-21", "2026-13-41", 1), "unreadable date"},
		"another merchant":   {strings.Replace(good, contract, "42", 1), "of merchant"},
		"stray quote":        {strings.Replace(good, "xx1", `"xx1`, 1), "quote"},
		"after quote":        {strings.Replace(good, "xx1", `"xx1"x`, 1), "closing quote"},
		"thousands unquoted": {row("pa_1", "取引完了", "1,480"), "columns"},
		"very long":          {strings.Repeat("x", 300<<10), "longer than"},
		"encoding":           {strings.Replace(good, "取引完了", "\x81", 1), "encoding"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := append(sjis(t, header+"\n"+good+"\n"), encodeLoose(c.line)...)
			file = append(file, sjis(t, "\n"+good+"\n")...)
			got := readAll(t, file)
			if got.tally != (format.Tally{Lines: 3, Parsed: 2, Rejected: 1}) {
				t.Fatalf("tally %+v %+v", got.tally, got.rejected)
			}
			if r := got.rejected[0]; r.Number != 3 || !strings.Contains(r.Reason, c.reason) || len(r.SHA256) != 64 {
				t.Errorf("rejected %+v", r)
			}
		})
	}
}

// encodeLoose encodes what it can and leaves the bytes that are no text.
func encodeLoose(s string) []byte {
	b, err := japanese.ShiftJIS.NewEncoder().Bytes([]byte(s))
	if err != nil || strings.ContainsAny(s, "\x00") || !strings.Contains(s, "取") && strings.Contains(s, "\x81") {
		out := []byte{}
		for i := 0; i < len(s); i++ {
			if s[i] < 0x80 || s[i] == 0x81 || s[i] == 0xff {
				out = append(out, s[i])
			}
		}
		return out
	}
	return b
}

// A quoted field may hold line ends: one record, numbered by its first line.
func TestQuotedLineEnds(t *testing.T) {
	t.Parallel()
	spread := strings.Replace(row("pa_1", "取引完了", "480"), "表参道店", "\"表参道\n\"\"本\"\"店\"", 1)
	got := readAll(t, sjis(t, header+"\n"+spread+"\n"+row("pa_2", "取引完了", "100")+"\n"))
	if diff := cmp.Diff([]format.Line{charge(2, "pa_1", 480), charge(4, "pa_2", 100)}, got.lines); diff != "" {
		t.Error(diff, got.rejected)
	}
}

func TestParseName(t *testing.T) {
	t.Parallel()
	n, ok, err := format.PayPay.ParseName("transaction_000000000000008181_20261121000000_20261121235959_v2.csv")
	want := format.Name{
		Contract: contract, From: time.Date(2026, 11, 20, 15, 0, 0, 0, time.UTC), To: time.Date(2026, 11, 21, 15, 0, 0, 0, time.UTC),
		Day: "2026-11-21",
	}
	if diff := cmp.Diff(want, n); !ok || err != nil || diff != "" {
		t.Error(ok, err, diff)
	}
	n, ok, err = format.PayPay.ParseName("transaction_7_20261121000000_20261121143000_v2.csv")
	if !ok || err != nil || !n.Partial || !n.To.Equal(time.Date(2026, 11, 21, 5, 30, 1, 0, time.UTC)) {
		t.Error(n, ok, err)
	}
	for _, name := range []string{"notes.txt", "preauth_transaction_1_20261121000000_20261121235959_v2.csv", "transaction__x_y.csv"} {
		if _, ok, _ := format.PayPay.ParseName(name); ok {
			t.Error(name)
		}
	}
	for _, name := range []string{"transaction_1_20261121000000_20261120000000_v2.csv", "transaction_1_20261399000000_20261399000000_v2.csv", "transaction_1_20261121000000_20261122000000_v2.csv"} {
		if _, ok, err := format.PayPay.ParseName(name); !ok || err == nil {
			t.Error(name, ok, err)
		}
	}
}

// Whatever mixture of good and bad lines: each is counted once, and the good ones come out as they went in.
func TestEveryLineIsCounted(t *testing.T) {
	t.Parallel()
	bad := []string{"a,b", `"`, "\xfc\xfc", ",,,,,,,,,,,,", row("pa_9", "取引完了", "x"), `x"y`}
	rapid.Check(t, func(t *rapid.T) {
		var file bytes.Buffer
		file.WriteString(header + "\n")
		var refs []string
		rejected := 0
		for i := range rapid.IntRange(0, 30).Draw(t, "lines") {
			if rapid.Bool().Draw(t, "bad") {
				file.WriteString(rapid.SampledFrom(bad).Draw(t, "line") + "\n")
				rejected++
				continue
			}
			ref := fmt.Sprint("pa_", i)
			refs = append(refs, ref)
			file.WriteString(row(ref, "取引完了", "480") + "\n")
		}
		got, err := read(file.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		var read []string
		for _, l := range got.lines {
			read = append(read, l.Reference)
		}
		if diff := cmp.Diff(refs, read); diff != "" {
			t.Fatal(diff)
		}
		if got.tally != (format.Tally{Lines: len(refs) + rejected, Parsed: len(refs), Rejected: rejected}) {
			t.Fatalf("%+v", got.tally)
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(header + "\n" + row("pa_1", "取引完了", "480") + "\n"))
	f.Add(sjis(f, header+"\r\n"+row("re_1", "返金完了", "-480")+"\r\n"))
	f.Add([]byte("\ufeff" + header + "\n\"\n\n,,\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		got, err := read(file)
		if err != nil {
			return
		}
		if got.tally.Parsed+got.tally.Rejected != got.tally.Lines || got.tally.Parsed != len(got.lines) || got.tally.Rejected != len(got.rejected) {
			t.Fatalf("tally %+v of %d lines, %d rejected", got.tally, len(got.lines), len(got.rejected))
		}
		last := 0
		for _, l := range got.lines {
			if l.Number <= last || l.Reference == "" || l.Currency != "JPY" || (l.Entry == format.Refund) != (l.Amount <= 0) && l.Amount != 0 {
				t.Fatalf("line %+v", l)
			}
			last = l.Number
		}
	})
}

func BenchmarkReader(b *testing.B) {
	var file bytes.Buffer
	file.WriteString(header + "\n")
	for i := range 10_000 {
		file.WriteString(row(fmt.Sprint("pa_", i), "取引完了", "480") + "\n")
	}
	encoded := sjis(b, file.String())
	b.SetBytes(int64(len(encoded)))
	for b.Loop() {
		readAll(b, encoded)
	}
}
