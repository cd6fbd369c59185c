// Package bookstest lives through random days of business, for property tests.
package bookstest

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/sandbox/internal/books"
)

// Noon of the day at which tests begin, in Tokyo.
var Noon = time.Date(2026, 11, 21, 12, 0, 0, 0, books.Tokyo)

// Merchant is one with the usual settings.
func Merchant() books.Merchant {
	return books.Merchant{ID: "m1", Brand: "喫茶店", APIKey: "k1", APISecret: "secret1", Settings: books.DefaultSettings()}
}

// Open makes books of the test's own with one merchant, and their clock.
func Open(tb testing.TB) (*books.Books, *clock.Manual) {
	tb.Helper()
	hand := clock.NewManual(Noon)
	return OpenAt(tb, filepath.Join(tb.TempDir(), "journal"), hand), hand
}

// OpenAt opens the journal at path.
func OpenAt(tb testing.TB, path string, hand *clock.Manual) *books.Books {
	tb.Helper()
	b, err := books.Open(path, hand.Now)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = b.Close() })
	if err := b.PutMerchant(Merchant()); err != nil {
		tb.Fatal(err)
	}
	return b
}

// Code asks for a code.
func Code(tb testing.TB, b *books.Books, id, store string, amount int64) books.Order {
	tb.Helper()
	o, err := b.CreateCode(books.NewOrder{Order: books.Order{MerchantID: "m1", MerchantPaymentID: id, StoreID: store, Amount: amount}})
	if err != nil {
		tb.Fatal(err)
	}
	return o
}

// Paid is a code that was paid.
func Paid(tb testing.TB, b *books.Books, id, store string, amount int64) books.Order {
	tb.Helper()
	Code(tb, b, id, store, amount)
	o, err := b.Pay(books.Ref{MerchantPaymentID: id})
	if err != nil {
		tb.Fatal(err)
	}
	return o
}

// driver is one random life.
type driver struct {
	t     *rapid.T
	b     *books.Books
	hand  *clock.Manual
	ids   []string
	codes int
}

// Drive lets random things happen to the books: codes, payments, cancels, refunds, captures, the passing of time. Refusals
// are part of life; any other error fails the test.
func Drive(t *rapid.T, b *books.Books, hand *clock.Manual) {
	d := &driver{t: t, b: b, hand: hand}
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		if err := d.step(); err != nil && !errors.As(err, &books.Refusal{}) {
			t.Fatal(err)
		}
	}
}

func (d *driver) step() error {
	if len(d.ids) == 0 {
		return d.begin()
	}
	id := rapid.SampledFrom(d.ids).Draw(d.t, "id")
	o, err := d.b.Order(books.Ref{MerchantPaymentID: id})
	if err != nil {
		return err
	}
	ref := books.Ref{MerchantPaymentID: id}
	amount := rapid.Int64Range(1, 3000).Draw(d.t, "amount")
	switch rapid.IntRange(0, 9).Draw(d.t, "step") {
	case 0, 1:
		return d.begin()
	case 2, 3:
		_, err = d.b.Pay(ref)
	case 4:
		_, err = d.b.Decline(ref, "NO_SUFFICIENT_FUND", false)
	case 5:
		err = d.b.Cancel(o.Key())
	case 6:
		refundID := fmt.Sprint("r", rapid.IntRange(0, 20).Draw(d.t, "refund"))
		_, err = d.b.Refund(o.MerchantID, o.PaymentID, books.Refund{MerchantRefundID: refundID, Amount: amount})
		if errors.Is(err, books.ErrUnknown) {
			err = nil
		}
	case 7:
		_, err = d.b.Capture(o.Key(), books.Capture{MerchantCaptureID: "c" + id, Amount: amount})
	case 8:
		if o.Code != nil {
			err = d.b.DeleteCode(o.MerchantID, o.Code.ID)
		}
	default:
		d.hand.Advance(time.Duration(rapid.IntRange(0, 36_000).Draw(d.t, "seconds")) * time.Second)
		err = d.b.Tick()
	}
	return err
}

func (d *driver) begin() error {
	d.codes++
	id := fmt.Sprint("p", d.codes)
	d.ids = append(d.ids, id)
	n := books.NewOrder{Order: books.Order{
		MerchantID: "m1", MerchantPaymentID: id, StoreID: rapid.SampledFrom([]string{"", "s1", "s2"}).Draw(d.t, "store"),
		Amount: rapid.SampledFrom([]int64{1, 1000, 2500, 600_000}).Draw(d.t, "price"), CaptureLater: rapid.Bool().Draw(d.t, "later"),
	}}
	if rapid.Bool().Draw(d.t, "by code") {
		_, err := d.b.CreateCode(n)
		return err
	}
	n.UserAuthorizationID = rapid.SampledFrom([]string{"user1", "user2", "28000000009001", "28000000009003", "28000000009011"}).Draw(d.t, "user")
	_, err := d.b.Charge(n)
	if errors.As(err, &books.Refusal{}) {
		if _, unknown := d.b.Order(books.Ref{MerchantPaymentID: id}); unknown != nil {
			d.ids = d.ids[:len(d.ids)-1]
		}
	}
	return err
}
