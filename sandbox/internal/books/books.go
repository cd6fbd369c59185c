// Package books is what the sandbox's PayPay knows: merchants, codes, payments, refunds. Rules are functions over one order
// (order.go and its neighbours); this file keeps the state, writes every change to the journal before anybody hears of
// it, and lets time pass.
package books

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mpac-cloud/mpac/sandbox/internal/journal"
)

// Books is the state. Nothing leaves it before the journal line that tells it is on the disk.
type Books struct {
	now     func() time.Time
	log     *journal.Journal
	mu      sync.Mutex
	watch   func(Change)
	tenants map[string]Merchant // by merchant id
	orders  map[Key]*Order
	created []*Order // as first written, in the order of creation; the newest state is in orders
	codes   map[string]Key
	paid    map[string]Key       // by PayPay's payment id
	refunds map[Key]Key          // by merchant and merchantRefundId: the order
	early   map[Key]time.Time    // cancels of orders never seen
	moved   map[string]time.Time // settlement lines that went to another day's file
	due     dueHeap
}

// Key names an order: its merchant and the merchant's own id of it, which is never used twice.
type Key struct {
	MerchantID        string `json:"merchant_id"`
	MerchantPaymentID string `json:"merchant_payment_id"`
}

// What happened to an order, as the journal and the watcher are told.
const (
	WhatCreated    = "created"    // a code was made, or a charge is waiting for its payer
	WhatDeleted    = "deleted"    // the code was deleted
	WhatCompleted  = "completed"  // money was taken
	WhatAuthorized = "authorized" // money was reserved
	WhatFailed     = "failed"     // the payment was refused
	WhatCancelAsk  = "cancel_asked"
	WhatCancelled  = "cancelled" // a cancel took effect
	WhatExpired    = "expired"   // an authorisation ended by itself
	WhatCaptureAsk = "capture_asked"
	WhatCaptured   = "captured"
	WhatReverted   = "reverted"
	WhatRefundAsk  = "refund_asked"
	WhatRefunded   = "refunded"
)

// Change is one change of an order, told to the watcher after it is on the disk.
type Change struct {
	What     string
	Merchant Merchant
	Order    Order
}

// entry is one line of the journal: the new state of one thing.
type entry struct {
	At       time.Time `json:"at"`
	What     string    `json:"what"`
	Merchant *Merchant `json:"merchant,omitempty"`
	Order    *Order    `json:"order,omitempty"`
	Early    *Key      `json:"early_cancel,omitempty"`
	Moved    *move     `json:"moved,omitempty"`
	silent   bool      // the watcher is not told
}

type move struct {
	Line string    `json:"line"`
	To   time.Time `json:"to"`
}

// Open reads the journal at path, or starts one.
func Open(path string, now func() time.Time) (*Books, error) {
	b := &Books{
		now: now, watch: func(Change) {}, tenants: map[string]Merchant{}, orders: map[Key]*Order{}, codes: map[string]Key{},
		paid: map[string]Key{}, refunds: map[Key]Key{}, early: map[Key]time.Time{}, moved: map[string]time.Time{},
	}
	log, err := journal.Open(path, func(record []byte) error {
		var e entry
		if err := json.Unmarshal(record, &e); err != nil {
			return fmt.Errorf("not an entry of the books: %w", err)
		}
		b.apply(e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	b.log = log
	return b, nil
}

// Watch sets who is told of every change. Call it before the books are used; f must not block.
func (b *Books) Watch(f func(Change)) { b.watch = f }

// Close writes what is pending.
func (b *Books) Close() error { return b.log.Close() }

// Now is the time the books go by.
func (b *Books) Now() time.Time { return b.now() }

// Tick lets what is due by now happen: cancels, refunds, expiries.
func (b *Books) Tick() error {
	return b.do(func(time.Time) ([]entry, error) { return nil, nil })
}

// do runs a rule on the state as of now. Its entries, and what fell due before it, are on the disk when do returns; so is
// everything the rule has read.
func (b *Books) do(rule func(now time.Time) ([]entry, error)) error {
	b.mu.Lock()
	now := b.now()
	entries := b.elapse(now)
	more, refusal := rule(now)
	if refusal == nil {
		for _, e := range more {
			e.At = now
			if err := b.write(e); err != nil {
				b.mu.Unlock()
				return err
			}
			entries = append(entries, e)
		}
	}
	position := b.log.Position()
	b.mu.Unlock()
	if err := b.log.Wait(position); err != nil {
		return err
	}
	b.tell(entries)
	return refusal
}

func (b *Books) tell(entries []entry) {
	for _, e := range entries {
		if e.Order != nil && !e.silent {
			merchant, _ := b.merchant(e.Order.MerchantID)
			b.watch(Change{What: e.What, Merchant: merchant, Order: *e.Order})
		}
	}
}

func (b *Books) merchant(id string) (Merchant, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m, ok := b.tenants[id]
	return m, ok
}

func (b *Books) write(e entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode entry: %w", err)
	}
	b.apply(e)
	b.log.Append(line)
	return nil
}

// apply puts an entry's state in place; replay and life go through the same lines.
func (b *Books) apply(e entry) {
	if e.Merchant != nil {
		b.tenants[e.Merchant.ID] = *e.Merchant
	}
	if e.Early != nil {
		b.early[*e.Early] = e.At
	}
	if e.Moved != nil {
		b.moved[e.Moved.Line] = e.Moved.To
	}
	if e.Order == nil {
		return
	}
	o, key := e.Order, e.Order.Key()
	if b.orders[key] == nil {
		b.created = append(b.created, o)
	}
	b.orders[key] = o
	if o.Code != nil {
		b.codes[o.Code.ID] = key
	}
	if o.PaymentID != "" {
		b.paid[o.PaymentID] = key
	}
	for _, r := range o.Refunds {
		b.refunds[Key{o.MerchantID, r.MerchantRefundID}] = key
	}
	if at, ok := o.nextDue(); ok {
		b.due.push(dueItem{at: at, key: key})
	}
}

// elapse writes what fell due up to now and returns it.
func (b *Books) elapse(now time.Time) []entry {
	var entries []entry
	for b.due.ready(now) {
		key := b.due.pop().key
		for {
			o, what := b.orders[key].elapsed(now)
			if what == "" {
				break
			}
			e := entry{At: now, What: what, Order: &o}
			if b.write(e) != nil {
				return entries
			}
			entries = append(entries, e)
		}
	}
	return entries
}

// Merchants lists all merchants by id.
func (b *Books) Merchants() ([]Merchant, error) {
	var all []Merchant
	err := b.do(func(time.Time) ([]entry, error) {
		for _, m := range b.tenants {
			all = append(all, m)
		}
		return nil, nil
	})
	slices.SortFunc(all, func(x, y Merchant) int { return cmp.Compare(x.ID, y.ID) })
	return all, err
}

// Merchant finds one.
func (b *Books) Merchant(id string) (Merchant, bool) { return b.merchant(id) }

// PutMerchant adds a merchant or changes it, if there is anything to change.
func (b *Books) PutMerchant(m Merchant) error {
	return b.do(func(time.Time) ([]entry, error) {
		if known, ok := b.tenants[m.ID]; ok && known == m {
			return nil, nil
		}
		return []entry{{What: "merchant", Merchant: &m}}, nil
	})
}

// ErrUnknown says that the books hold no such order.
var ErrUnknown = errors.New("no such order")

// Ref points at an order in one of the ways it is known by. MerchantID may be empty where the other names are unique.
type Ref struct {
	MerchantID        string
	MerchantPaymentID string
	CodeID            string
	PaymentID         string
}

func (b *Books) find(r Ref) *Order {
	var key Key
	var ok bool
	switch {
	case r.CodeID != "":
		key, ok = b.codes[r.CodeID]
	case r.PaymentID != "":
		key, ok = b.paid[r.PaymentID]
	case r.MerchantID != "":
		key, ok = Key{r.MerchantID, r.MerchantPaymentID}, true
	default:
		key, ok = b.anyMerchant(r.MerchantPaymentID)
	}
	if !ok || (r.MerchantID != "" && key.MerchantID != r.MerchantID) {
		return nil
	}
	return b.orders[key]
}

// anyMerchant looks for the payment id with every merchant: there are few.
func (b *Books) anyMerchant(merchantPaymentID string) (Key, bool) {
	for _, id := range slices.Sorted(maps.Keys(b.tenants)) {
		key := Key{id, merchantPaymentID}
		if b.orders[key] != nil {
			return key, true
		}
	}
	return Key{}, false
}

// Order finds an order; ErrUnknown when there is none.
func (b *Books) Order(r Ref) (Order, error) {
	var found Order
	err := b.do(func(time.Time) ([]entry, error) {
		o := b.find(r)
		if o == nil {
			return nil, ErrUnknown
		}
		found = *o
		return nil, nil
	})
	return found, err
}

// Orders lists all orders, the oldest first.
func (b *Books) Orders() ([]Order, error) {
	var all []Order
	err := b.do(func(time.Time) ([]entry, error) {
		all = make([]Order, 0, len(b.created))
		for _, o := range b.created {
			all = append(all, *b.orders[o.Key()])
		}
		return nil, nil
	})
	return all, err
}

// change runs a rule over one order and writes what comes out under the name the rule gives; "" changes nothing.
func (b *Books) change(r Ref, rule func(o Order, s Settings, now time.Time) (Order, string, error)) (Order, error) {
	var result Order
	err := b.do(func(now time.Time) ([]entry, error) {
		o := b.find(r)
		if o == nil {
			return nil, ErrUnknown
		}
		next, what, err := rule(*o, b.tenants[o.MerchantID].Settings, now)
		if err != nil {
			return nil, err
		}
		result = next
		if what == "" {
			return nil, nil
		}
		return []entry{{What: what, Order: &next}}, nil
	})
	return result, err
}

// MoveLine notes that a settlement line belongs to another day's file from now on.
func (b *Books) MoveLine(line string, to time.Time) error {
	return b.do(func(time.Time) ([]entry, error) {
		return []entry{{What: "moved", Moved: &move{Line: line, To: to}}}, nil
	})
}

// MovedLines are the settlement lines that went to another day: the line's name and the day it went to.
func (b *Books) MovedLines() (map[string]time.Time, error) {
	lines := map[string]time.Time{}
	err := b.do(func(time.Time) ([]entry, error) {
		for line, to := range b.moved {
			lines[line] = to
		}
		return nil, nil
	})
	return lines, err
}
