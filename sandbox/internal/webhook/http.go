package webhook

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/mpac-cloud/mpac/sandbox/internal/books"
	"github.com/mpac-cloud/mpac/sandbox/internal/fault"
)

// keep is how many deliveries the log remembers.
const keep = 10_000

// Sender sends notifications and remembers what became of them.
type Sender struct {
	ctx    context.Context //nolint:containedctx // deliveries outlive the call that caused them; they end with the process
	now    func() time.Time
	faults *fault.Box
	client *http.Client
	group  sync.WaitGroup

	mu   sync.Mutex
	last int64
	log  []*Delivery
	idle *sync.Cond // a delivery has ended
}

// New makes a sender whose deliveries end with ctx.
func New(ctx context.Context, now func() time.Time, faults *fault.Box) *Sender {
	s := &Sender{
		ctx: ctx, now: now, faults: faults,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	s.idle = sync.NewCond(&s.mu)
	return s
}

// Tell sends what PayPay would send of a change, faults applied. It does not wait.
func (s *Sender) Tell(c books.Change) {
	target := fault.Target{MerchantID: c.Order.MerchantID, StoreID: c.Order.StoreID, MerchantPaymentID: c.Order.MerchantPaymentID}
	if c.What == books.WhatCreated && s.faults.Forged(target) {
		s.Forge(c.Merchant, c.Order)
	}
	state, told := states[c.What]
	if !told {
		return
	}
	delay := time.Duration(c.Merchant.Settings.WebhookDelayMS) * time.Millisecond
	d := transactionDelivery(c.Merchant, c.Order, state)
	f, _ := s.faults.Webhook(target)
	switch f.Kind {
	case fault.WebhookDrop:
		d.Outcome = dropped
		s.note(d)
		return
	case fault.WebhookDelay:
		delay += time.Duration(f.DelayMS) * time.Millisecond
	case fault.WebhookDuplicate:
		again := *d
		s.start(&again, c.Merchant.Settings.WebhookClass, delay+time.Duration(f.DelayMS)*time.Millisecond)
	}
	s.start(d, c.Merchant.Settings.WebhookClass, delay)
}

// Send sends the truth about an order once more, in its present state.
func (s *Sender) Send(m books.Merchant, o books.Order) {
	s.start(transactionDelivery(m, o, o.Status), m.Settings.WebhookClass, 0)
}

// Forge sends a COMPLETED webhook about an order that nobody paid.
func (s *Sender) Forge(m books.Merchant, o books.Order) {
	d := transactionDelivery(m, forge(o, s.now()), books.Completed)
	d.Forged = true
	s.start(d, m.Settings.WebhookClass, 0)
}

// FileCreated announces a settlement file at the address path.
func (s *Sender) FileCreated(m books.Merchant, path string) error {
	body, err := fileCreated(path, s.now())
	if err != nil {
		return fmt.Errorf("encode file.created: %w", err)
	}
	s.start(&Delivery{MerchantID: m.ID, Type: "file.created", URL: m.WebhookURL, Body: body}, "b", 0)
	return nil
}

func transactionDelivery(m books.Merchant, o books.Order, state books.Status) *Delivery {
	body, err := message(o, state)
	if err != nil {
		slog.Error("webhook: encode", "error", err)
	}
	return &Delivery{
		MerchantID: o.MerchantID, StoreID: o.StoreID, MerchantPaymentID: o.MerchantPaymentID, Type: "Transaction",
		State: string(state), URL: m.WebhookURL, Body: body,
	}
}

func (s *Sender) note(d *Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	d.ID, d.CreatedAt, d.Attempts = s.last, s.now().Truncate(time.Millisecond), []Attempt{}
	if len(s.log) >= keep {
		s.log = slices.Delete(s.log, 0, keep/10)
	}
	s.log = append(s.log, d)
}

func (s *Sender) start(d *Delivery, class string, delay time.Duration) {
	d.Outcome = pending
	if d.URL == "" {
		d.Outcome = noURL
	}
	s.note(d)
	if d.URL == "" {
		return
	}
	s.group.Go(func() {
		outcome := gaveUp
		if s.sleep(delay) {
			outcome = s.deliver(d, schedules[class])
		}
		s.mu.Lock()
		d.Outcome = outcome
		s.idle.Broadcast()
		s.mu.Unlock()
	})
}

func (s *Sender) deliver(d *Delivery, plan schedule) string {
	for try := 0; ; try++ {
		a := s.try(d, plan.timeout)
		s.mu.Lock()
		d.Attempts = append(d.Attempts, a)
		s.mu.Unlock()
		if a.Status == http.StatusOK {
			return delivered
		}
		if try >= plan.retries || !s.sleep(plan.pause) {
			return gaveUp
		}
	}
}

func (s *Sender) try(d *Delivery, timeout time.Duration) Attempt {
	if timeout == 0 {
		timeout = schedules["a"].timeout
	}
	began := s.now()
	a := Attempt{At: s.now().Truncate(time.Millisecond)}
	ctx, cancel := context.WithTimeout(s.ctx, timeout)
	defer cancel()
	status, err := s.post(ctx, d)
	if err != nil {
		a.Error = err.Error()
	}
	a.Status, a.Millis = status, s.now().Sub(began).Milliseconds()
	return a
}

func (s *Sender) post(ctx context.Context, d *Delivery) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(d.Body))
	if err != nil {
		return 0, fmt.Errorf("webhook request: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := s.client.Do(request)
	if err != nil {
		return 0, fmt.Errorf("webhook: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<16))
	return response.StatusCode, nil
}

// sleep returns false when the process ends meanwhile.
func (s *Sender) sleep(d time.Duration) bool {
	if d <= 0 {
		return s.ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// Settle waits until nothing about the order is on its way.
func (s *Sender) Settle(key books.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for slices.ContainsFunc(s.log, func(d *Delivery) bool {
		return d.Outcome == pending && d.MerchantID == key.MerchantID && d.MerchantPaymentID == key.MerchantPaymentID
	}) {
		s.idle.Wait()
	}
}

// Log lists deliveries, the newest first; an empty merchantPaymentID lists all.
func (s *Sender) Log(merchantPaymentID string) []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []Delivery{}
	for _, d := range slices.Backward(s.log) {
		if merchantPaymentID == "" || d.MerchantPaymentID == merchantPaymentID {
			entry := *d
			entry.Attempts = slices.Clone(d.Attempts)
			list = append(list, entry)
		}
	}
	return list
}

// Wait returns when all deliveries have ended.
func (s *Sender) Wait() { s.group.Wait() }
