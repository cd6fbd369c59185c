package settlement_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/japanese"
	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/sandbox/internal/books"
	"github.com/mpac-cloud/mpac/sandbox/internal/books/bookstest"
	"github.com/mpac-cloud/mpac/sandbox/internal/settlement"
)

var today = bookstest.Noon

func write(tb testing.TB, w *settlement.Writer, r settlement.Request) settlement.File {
	tb.Helper()
	f, err := w.Write(r)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func request(asks ...settlement.Ask) settlement.Request {
	return settlement.Request{Merchant: bookstest.Merchant(), Date: today, Discrepancies: asks}
}

// decoded is the file's text, out of Shift_JIS.
func decoded(tb testing.TB, f settlement.File) string {
	tb.Helper()
	raw, err := os.ReadFile(f.Path)
	if err != nil {
		tb.Fatal(err)
	}
	text, err := japanese.ShiftJIS.NewDecoder().Bytes(raw)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

func rows(tb testing.TB, f settlement.File) [][]string {
	tb.Helper()
	all, err := csv.NewReader(strings.NewReader(decoded(tb, f))).ReadAll()
	if err != nil {
		tb.Fatal(err)
	}
	return all[1:]
}

func day(t *testing.T) (*settlement.Writer, *books.Books, *clock.Manual) {
	t.Helper()
	b, hand := bookstest.Open(t)
	return &settlement.Writer{Books: b, Dir: filepath.Join(t.TempDir(), "files")}, b, hand
}

// golden is the file of the day below, with PayPay's own ids replaced by P1, P2, ...
const golden = `決済番号,加盟店ID,屋号,店舗ID,店舗名,端末番号/PosID,取引ステータス,取引日時,取引金額,レシート番号,支払い方法,マーチャント決済ID,支払い詳細
P1,m1,喫茶店,s1,"渋谷, 本店〓",t1,取引完了,2026-11-21T12:00:00+09:00,1500,,PayPay残高,order-1,"[{""paymentMethod"":""PayPay残高"",""amount"":1500}]"
P2,m1,喫茶店,s2,s2,,取引失敗,2026-11-21T12:00:00+09:00,600000,,PayPay残高,order-2,
P1,m1,喫茶店,s1,"渋谷, 本店〓",t1,返金完了,2026-11-21T13:00:00+09:00,-480,,PayPay残高,refund-1,"[{""paymentMethod"":""PayPay残高"",""amount"":-480}]"
P3,m1,喫茶店,s2,s2,,取引失敗,2026-11-21T13:00:00+09:00,700,,PayPay残高,order-3,
`

func TestTheFile(t *testing.T) {
	t.Parallel()
	w, b, hand := day(t)
	first, err := b.CreateCode(books.NewOrder{Order: books.Order{
		MerchantID: "m1", MerchantPaymentID: "order-1", StoreID: "s1", StoreInfo: "渋谷, 本店😀", TerminalID: "t1", Amount: 1500,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if first, err = b.Pay(books.Ref{CodeID: first.Code.ID}); err != nil {
		t.Fatal(err)
	}
	hand.Advance(time.Millisecond)
	second := bookstest.Paid(t, b, "order-2", "s2", 600_000) // above the limit: it fails
	hand.Advance(time.Hour - time.Millisecond)
	if _, err := b.Refund("m1", first.PaymentID, books.Refund{MerchantRefundID: "refund-1", Amount: 480}); err != nil {
		t.Fatal(err)
	}
	hand.Advance(time.Millisecond)
	third := bookstest.Paid(t, b, "order-3", "s2", 700)
	if err := b.Cancel(third.Key()); err != nil {
		t.Fatal(err)
	}
	bookstest.Code(t, b, "unpaid", "s1", 9)
	hand.Advance(24 * time.Hour)
	bookstest.Paid(t, b, "tomorrow", "s1", 1)

	f := write(t, w, request())
	if f.Name != "transaction_m1_20261121000000_20261121235959_v2.csv" || f.Lines != 4 {
		t.Errorf("%s, %d lines", f.Name, f.Lines)
	}
	want := golden
	for name, o := range map[string]books.Order{"P1": first, "P2": second, "P3": third} {
		want = strings.ReplaceAll(want, name+",", o.PaymentID+",")
	}
	if diff := cmp.Diff(want, decoded(t, f)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(settlement.Sums{Charges: 1500, ChargeCount: 1, Refunds: 480, RefundCount: 1, Net: 1020}, f.Totals); diff != "" {
		t.Error(diff)
	}
	raw, err := w.Read(f.Name)
	if err != nil || bytes.Contains(raw, []byte("\r")) || bytes.Contains(raw, []byte("決済")) {
		t.Errorf("line ends or encoding: %v", err)
	}
	if again := write(t, w, request()); again.SHA256 != f.SHA256 {
		t.Error("the same day again is another file")
	}
}

func TestUntilCutsTheDay(t *testing.T) {
	t.Parallel()
	w, b, hand := day(t)
	bookstest.Paid(t, b, "before", "s1", 1)
	hand.Advance(time.Second)
	bookstest.Paid(t, b, "at", "s1", 1)
	cut := hand.Now()
	hand.Advance(time.Second)
	bookstest.Paid(t, b, "after", "s1", 1)
	r := request()
	r.Until = cut
	f := write(t, w, r)
	if f.Name != "transaction_m1_20261121000000_20261121120001_v2.csv" || f.Lines != 2 {
		t.Errorf("%s, %d lines", f.Name, f.Lines)
	}
}

// tally counts a file's rows by status and reference.
func tally(t *testing.T, f settlement.File) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for _, row := range rows(t, f) {
		counts[row[6]+" "+row[11]+" "+row[8]]++
	}
	return counts
}

func TestDiscrepancies(t *testing.T) {
	t.Parallel()
	const a, b, failed = "取引完了 a 1000", "取引完了 b 2000", "取引失敗 f 600000"
	cases := map[string]struct {
		ask  settlement.Ask
		hits string // the payment it must name
		want map[string]int
	}{
		"missing":             {settlement.Ask{Kind: settlement.MissingLine}, "a", map[string]int{b: 1, failed: 1}},
		"missing, named":      {settlement.Ask{Kind: settlement.MissingLine, MerchantPaymentID: "b"}, "b", map[string]int{a: 1, failed: 1}},
		"missing, by store":   {settlement.Ask{Kind: settlement.MissingLine, StoreID: "s2"}, "b", map[string]int{a: 1, failed: 1}},
		"late":                {settlement.Ask{Kind: settlement.Late, MerchantPaymentID: "b"}, "b", map[string]int{a: 1, failed: 1}},
		"one yen":             {settlement.Ask{Kind: settlement.AmountDiffers}, "a", map[string]int{"取引完了 a 1001": 1, b: 1, failed: 1}},
		"ten yen less":        {settlement.Ask{Kind: settlement.AmountDiffers, Amount: -10}, "a", map[string]int{"取引完了 a 990": 1, b: 1, failed: 1}},
		"failed there":        {settlement.Ask{Kind: settlement.StatusFailed}, "a", map[string]int{"取引失敗 a 1000": 1, b: 1, failed: 1}},
		"paid there":          {settlement.Ask{Kind: settlement.StatusSucceeded}, "f", map[string]int{a: 1, b: 1, "取引完了 f 600000": 1}},
		"paid, nobody paid":   {settlement.Ask{Kind: settlement.StatusSucceeded, MerchantPaymentID: "u"}, "u", map[string]int{a: 1, b: 1, failed: 1, "取引完了 u 5": 1}},
		"twice":               {settlement.Ask{Kind: settlement.DuplicateLine}, "a", map[string]int{a: 2, b: 1, failed: 1}},
		"unreadable":          {settlement.Ask{Kind: settlement.UnparsableLine}, "a", map[string]int{"取引完了 a 金額不明": 1, b: 1, failed: 1}},
		"unknown":             {settlement.Ask{Kind: settlement.ExtraLine, MerchantPaymentID: "ghost"}, "ghost", map[string]int{a: 1, b: 1, failed: 1, "取引完了 ghost 1234": 1}},
		"unknown, named here": {settlement.Ask{Kind: settlement.ExtraLine, Amount: 7}, "extra-20261121-1", map[string]int{a: 1, b: 1, failed: 1, "取引完了 extra-20261121-1 7": 1}},
		"refund of nothing": {
			settlement.Ask{Kind: settlement.RefundWithoutCharge}, "nocharge-20261121-1", map[string]int{a: 1, b: 1, failed: 1, "返金完了 nocharge-20261121-1 -1234": 1},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, ledger, hand := day(t)
			bookstest.Paid(t, ledger, "a", "s1", 1000)
			hand.Advance(time.Second)
			bookstest.Paid(t, ledger, "b", "s2", 2000)
			bookstest.Paid(t, ledger, "f", "s1", 600_000)
			bookstest.Code(t, ledger, "u", "s1", 5)
			f := write(t, w, request(c.ask))
			if diff := cmp.Diff(c.want, tally(t, f)); diff != "" {
				t.Error(diff)
			}
			if len(f.Discrepancies) != 1 || f.Discrepancies[0].MerchantPaymentID != c.hits || f.Discrepancies[0].Kind != c.ask.Kind {
				t.Errorf("reported %+v, want %s", f.Discrepancies, c.hits)
			}
		})
	}
}

func TestEachPaymentHasOneDiscrepancyAtMost(t *testing.T) {
	t.Parallel()
	w, b, _ := day(t)
	bookstest.Paid(t, b, "a", "s1", 1000)
	bookstest.Paid(t, b, "b", "s1", 2000)
	f := write(t, w, request(settlement.Ask{Kind: settlement.AmountDiffers}, settlement.Ask{Kind: settlement.StatusFailed}))
	if f.Discrepancies[0].MerchantPaymentID == f.Discrepancies[1].MerchantPaymentID {
		t.Errorf("both hit %s", f.Discrepancies[0].MerchantPaymentID)
	}
	_, err := w.Write(request(settlement.Ask{Kind: settlement.MissingLine, MerchantPaymentID: "nobody"}))
	if none := (&settlement.NoCandidateError{}); !errors.As(err, &none) || none.Ask.MerchantPaymentID != "nobody" {
		t.Errorf("got %v", err)
	}
}

func TestALateLineComesTheNextDayAndStaysThere(t *testing.T) {
	t.Parallel()
	w, b, _ := day(t)
	bookstest.Paid(t, b, "a", "s1", 1000)
	write(t, w, request(settlement.Ask{Kind: settlement.Late}))
	tomorrow := request()
	tomorrow.Date = today.AddDate(0, 0, 1)
	f := write(t, w, tomorrow)
	if f.Lines != 1 || rows(t, f)[0][11] != "a" || !strings.HasPrefix(rows(t, f)[0][7], "2026-11-21T12:00:00") {
		t.Errorf("the next day says %v", rows(t, f))
	}
	if again := write(t, w, request()); again.Lines != 0 {
		t.Errorf("today, again, says %v", rows(t, again))
	}
}

func TestCaptureLaterHasAFileOfItsOwn(t *testing.T) {
	t.Parallel()
	w, b, hand := day(t)
	key := books.Key{MerchantID: "m1", MerchantPaymentID: "a"}
	if _, err := b.Charge(books.NewOrder{Order: books.Order{MerchantID: "m1", MerchantPaymentID: "a", Amount: 1000, CaptureLater: true}}); err != nil {
		t.Fatal(err)
	}
	hand.Advance(time.Second)
	o, err := b.Capture(key, books.Capture{MerchantCaptureID: "c1", Amount: 800})
	if err != nil {
		t.Fatal(err)
	}
	hand.Advance(time.Second)
	if _, err := b.Refund("m1", o.PaymentID, books.Refund{MerchantRefundID: "r1", Amount: 300}); err != nil {
		t.Fatal(err)
	}
	if f := write(t, w, request()); f.Lines != 0 {
		t.Errorf("the instant file has %v", rows(t, f))
	}
	r := request()
	r.Layout = "capture_later"
	f := write(t, w, r)
	if !strings.HasPrefix(f.Name, "preauth_transaction_m1_") {
		t.Errorf("name is %s", f.Name)
	}
	got := tally(t, f)
	if diff := cmp.Diff(map[string]int{"AUTHORIZED a 1000": 1, "COMPLETED c1 800": 1, "REFUNDED r1 -300": 1}, got); diff != "" {
		t.Error(diff)
	}
	r.Layout = "unheard-of"
	if _, err := w.Write(r); !errors.Is(err, settlement.ErrUnknownLayout) {
		t.Errorf("got %v", err)
	}
}

func TestNamesOutsideTheFolderAreNotRead(t *testing.T) {
	t.Parallel()
	w, _, _ := day(t)
	for _, name := range []string{"../journal", "", "x.csv", "transaction_../x_20261121000000_20261121235959_v2.csv"} {
		if _, err := w.Read(name); !errors.Is(err, settlement.ErrNoFile) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// Whatever happens: what the books took and gave back is what their files of all days add up to, per store, to the yen.
func TestFilesAddUpToTheBooks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		hand := clock.NewManual(bookstest.Noon)
		b := bookstest.OpenAt(t, filepath.Join(t.TempDir(), "journal"), hand)
		bookstest.Drive(rt, b, hand)
		w := &settlement.Writer{Books: b, Dir: filepath.Join(t.TempDir(), "files")}
		captures, refunds := map[string]int64{}, map[string]int64{}
		for at := bookstest.Noon; !at.After(hand.Now().AddDate(0, 0, 1)); at = at.AddDate(0, 0, 1) {
			for _, layout := range []string{"instant", "capture_later"} {
				r := settlement.Request{Merchant: bookstest.Merchant(), Layout: layout, Date: at.In(books.Tokyo)}
				for _, row := range rows(t, write(t, w, r)) {
					amount, err := strconv.ParseInt(row[8], 10, 64)
					if err != nil {
						rt.Fatal(err)
					}
					switch row[6] {
					case "取引完了", "COMPLETED":
						captures[row[3]] += amount
					case "返金完了", "REFUNDED":
						refunds[row[3]] -= amount
					}
				}
			}
		}
		totals, err := b.Totals(time.Time{}, time.Time{})
		if err != nil {
			rt.Fatal(err)
		}
		for _, total := range totals {
			if captures[total.StoreID] != total.Captures || refunds[total.StoreID] != total.Refunds {
				rt.Fatalf("store %q: files say %d and %d, the books %d and %d", total.StoreID, captures[total.StoreID], refunds[total.StoreID], total.Captures, total.Refunds)
			}
			delete(captures, total.StoreID)
			delete(refunds, total.StoreID)
		}
		if len(captures)+len(refunds) > 0 {
			rt.Fatalf("files have more: %v %v", captures, refunds)
		}
	})
}
