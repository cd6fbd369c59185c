package intent

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/pgw/internal/event"
	"github.com/mpac-cloud/mpac/pgw/internal/provider"
	"github.com/mpac-cloud/mpac/platform/money"
)

var testConfig = Config{
	AskEvery: 2500 * time.Millisecond, PollEvery: 3 * time.Second, ChaseWindow: time.Minute, Settle: 5 * time.Second, OperatorAfter: 24 * time.Hour,
}

// world is a provider with a mind of its own: calls get lost on the way there and on the way back, customers pay when they
// like, a cancel is carried through some time after it was accepted.
type world struct {
	t   *rapid.T
	now time.Time
	in  Intent
	a   Attempt

	known, deleted, remembered, refusesCancel, forgetsDeleted, duplicates bool
	state                                                                 provider.State
	codeEnds                                                              time.Time
	takenAt                                                               time.Time
	faults                                                                bool // calls may be lost
	windowOver                                                            bool // what is paid cannot be cancelled any more
	inFlight                                                              bool // a charge that got no answer may still arrive
	began                                                                 time.Time
	captured, late, returns                                               int
}

func newWorld(t *rapid.T) *world {
	now := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	method := rapid.SampledFrom([]string{QRMPM, QRCPM}).Draw(t, "method")
	capture := CaptureAutomatic
	if method == QRMPM && rapid.Bool().Draw(t, "manual") {
		capture = CaptureManual
	}
	amount := money.Amount{Minor: 1200, Currency: money.JPY}
	w := &world{
		t: t, now: now, began: now, faults: true, windowOver: rapid.Bool().Draw(t, "refuses cancel of what is paid"), state: provider.NotFound,
		refusesCancel: rapid.Bool().Draw(t, "refuses cancel of what it does not know"), forgetsDeleted: rapid.Bool().Draw(t, "forgets deleted codes"),
		duplicates: rapid.Bool().Draw(t, "refuses repeated ids"),
		in: Intent{
			ID: "pi_1", Status: RequiresPaymentMethod, Version: 1, Amount: amount, CaptureMethod: capture, MethodType: method, ProcessingMode: PGWProcessed,
			LiveAttemptID: "pa_1", LatestAttemptID: "pa_1", ExpiresAt: now.Add(30 * time.Minute), DueAt: now,
		},
		a: Attempt{ID: "pa_1", IntentID: "pi_1", MethodType: method, Status: Creating, StatusSince: now, Amount: amount, CaptureLater: capture == CaptureManual},
	}
	if method == QRCPM {
		w.a.Status = Charging
		w.must(w.in.moveTell(Processing, now))
	}
	return w
}

func (w *world) must(err error) {
	if err != nil {
		w.t.Fatal(err)
	}
}

// lost decides whether a call, or its answer, gets lost.
func (w *world) lost(label string) bool {
	return w.faults && rapid.IntRange(0, 2).Draw(w.t, label) == 0
}

// bring applies news twice, as a webhook and a poll would, and checks what must always hold.
func (w *world) bring(n news) {
	for i := range 2 {
		before, told := w.in, len(w.in.told)
		tick(&w.in, &w.a, w.now, testConfig)
		fx, err := apply(&w.in, &w.a, n, w.now, testConfig)
		w.must(err)
		if before.Status.Final() && w.in.Status != before.Status {
			w.t.Fatalf("%s is final and became %s", before.Status, w.in.Status)
		}
		if n.kind == newsUnknown && w.in.Status != before.Status && w.in.Status != Processing {
			w.t.Fatalf("no answer made it %s", w.in.Status)
		}
		if i == 1 && (fx != effects{}) {
			w.t.Fatalf("the same news again had effects %+v", fx)
		}
		for j, e := range w.in.told[told:] {
			if want := before.Version + int32(j) + 1; e.version != want {
				w.t.Fatalf("event %s has version %d, want %d", e.kind, e.version, want)
			}
		}
		switch fx.post {
		case bookCaptured:
			w.captured++
		case bookLateSuccess:
			w.late++
		}
		if fx.giveBack {
			w.returns++
			w.state = provider.Refunded
		}
	}
}

// work takes the steps that the plan wants now.
func (w *world) work() {
	last := newsNone
	for range 20 {
		tick(&w.in, &w.a, w.now, testConfig)
		st := next(&w.in, &w.a, last, w.now, testConfig)
		if st.do == doWait {
			if w.in.LiveAttemptID != "" && !st.until.After(w.now) {
				w.t.Fatalf("%s waits until %s, which is past", w.a.Status, st.until)
			}
			return
		}
		n := w.call(st.do)
		w.bring(n)
		last = n.kind
	}
	w.t.Fatalf("%s: the plan never waits", w.a.Status)
}

func (w *world) call(do action) news {
	switch do {
	case doCancel:
		if w.a.CancelSentAt.IsZero() {
			w.a.CancelSentAt = w.now
		}
	case doCapture:
		w.a.CaptureTries++
	default:
	}
	if w.lost("request lost") {
		return failedCall(do)
	}
	n := w.serve(do)
	if w.lost("answer lost") {
		return failedCall(do)
	}
	return n
}

func failedCall(do action) news {
	switch do {
	case doDelete:
		return news{kind: newsNotDeleted}
	case doCancel:
		return news{kind: newsCancelUnknown}
	default:
		return news{}
	}
}

func (w *world) serve(do action) news {
	switch do {
	case doCreate:
		return w.create()
	case doDelete:
		if w.state == provider.Open {
			w.deleted = true
		}
		return news{kind: newsDeleted}
	case doCancel:
		return w.cancel()
	case doCapture:
		return w.captureNow()
	default:
		return w.ask()
	}
}

func (w *world) create() news {
	if w.known && w.duplicates {
		return news{kind: newsDuplicate}
	}
	if !w.known {
		w.known, w.state, w.codeEnds = true, provider.Open, w.now.Add(5*time.Minute)
	}
	return news{kind: newsCode, code: provider.Code{ID: "c", Content: "https://qr.example/c", ExpiresAt: w.codeEnds}}
}

func (w *world) cancel() news {
	switch w.state {
	case provider.Completed, provider.Authorized, provider.Open:
		if w.state == provider.Completed && w.windowOver {
			return news{kind: newsCancelRefused}
		}
		w.remembered = true
		return news{kind: newsCancelAccepted}
	case provider.NotFound:
		if !w.refusesCancel {
			w.remembered = true
			return news{kind: newsCancelAccepted}
		}
	default:
	}
	return news{kind: newsCancelRefused}
}

func (w *world) captureNow() news {
	if w.state != provider.Authorized || w.remembered {
		return news{}
	}
	w.state = provider.Completed
	return news{kind: newsCompleted, payment: provider.Payment{State: provider.Completed, PaymentID: "p"}}
}

func (w *world) ask() news {
	// A cancel that was accepted is carried through at some time.
	if w.remembered && (w.state == provider.Completed || w.state == provider.Authorized) && (!w.faults || rapid.Bool().Draw(w.t, "cancel is through")) {
		w.state = provider.Failed
	}
	p := provider.Payment{State: w.state, AcceptedAt: w.takenAt}
	if w.state != provider.Open && w.state != provider.NotFound {
		p.PaymentID = "p"
	}
	switch w.state {
	case provider.Open:
		if w.deleted && w.forgetsDeleted {
			return news{kind: newsNotFound, payment: p}
		}
		return news{kind: newsOpen, payment: p}
	case provider.Authorized:
		return news{kind: newsAuthorized, payment: p}
	case provider.Completed:
		return news{kind: newsCompleted, payment: p}
	case provider.NotFound:
		return news{kind: newsNotFound, payment: p}
	case provider.Refunded:
		return news{kind: newsFailed, failure: codeReversed, payment: p}
	default:
		return news{kind: newsFailed, failure: provider.CodeDeclined, payment: p}
	}
}

// pay is the customer's thumb.
func (w *world) pay() {
	if w.state != provider.Open || w.deleted || !w.now.Before(w.codeEnds) || w.in.QRContent == "" && w.a.CodeID == "" {
		return
	}
	w.take()
}

func (w *world) take() {
	w.takenAt, w.state = w.now, provider.Completed
	if w.a.CaptureLater {
		w.state = provider.Authorized
	}
}

func TestEveryAttemptEndsAndNoMoneyIsLostOrTakenTwice(t *testing.T) {
	t.Parallel()
	for range 20 { // rapid's hundred checks are too few for this
		rapid.Check(t, oneLife)
	}
}

func oneLife(t *rapid.T) {
	w := newWorld(t)
	w.begin()
	for range rapid.IntRange(0, 30).Draw(t, "steps") {
		w.something()
	}
	w.faults = false
	if w.in.Status == RequiresCapture && w.in.CancelRequestedAt.IsZero() {
		w.in.CancelRequestedAt = w.now
	}
	for i := 0; w.in.LiveAttemptID != ""; i++ {
		if i > 2000 {
			t.Fatalf("it never ends: intent %s, attempt %s, provider %s", w.in.Status, w.a.Status, w.state)
		}
		w.now = w.now.Add(3 * time.Second)
		w.work()
		if w.in.Status == RequiresCapture && w.in.CancelRequestedAt.IsZero() {
			w.in.CancelRequestedAt = w.now
		}
	}
	w.checkEnd()
}

// begin is the first call of the confirm.
func (w *world) begin() {
	if w.a.MethodType == QRMPM {
		w.bring(w.call(doCreate))
		return
	}
	if w.lost("charge lost") {
		w.inFlight = true
		w.bring(news{})
		return
	}
	w.known = true
	switch rapid.SampledFrom([]string{"paid", "declined", "nothing"}).Draw(w.t, "charge") {
	case "paid":
		w.take()
	case "declined":
		w.state = provider.Failed
	}
	if w.lost("charge's answer lost") {
		w.bring(news{})
		return
	}
	w.bring(w.ask())
}

func (w *world) something() {
	switch rapid.SampledFrom([]string{"time", "time", "work", "work", "pay", "cancel", "hear", "capture", "late", "arrive"}).Draw(w.t, "what") {
	case "time":
		w.now = w.now.Add(time.Duration(rapid.SampledFrom([]int64{1, 3, 20, 70, 400}).Draw(w.t, "seconds")) * time.Second)
	case "work":
		w.work()
	case "pay":
		w.pay()
	case "cancel":
		if !w.in.Status.Final() && w.in.CancelRequestedAt.IsZero() && w.a.Status != Capturing {
			w.in.CancelRequestedAt = w.now
		}
	case "hear": // a webhook: the provider is asked
		if !w.lost("question lost") {
			w.bring(w.ask())
		}
	case "capture":
		if w.in.Status == RequiresCapture && w.a.Status == Authorized && w.in.CancelRequestedAt.IsZero() {
			w.a.become(Capturing, w.now)
			w.a.CaptureAmount, w.a.CaptureTries = 1000, w.a.CaptureTries+1
			w.must(w.in.moveTell(Processing, w.now))
			if !w.lost("capture lost") {
				w.bring(w.captureNow())
			}
		}
	case "arrive": // a charge may be on its way for as long as the deadline of its call
		if w.inFlight && w.state == provider.NotFound && w.now.Sub(w.began) < 30*time.Second {
			w.inFlight = false
			w.take()
			if w.remembered {
				w.state = provider.Failed
			}
		}
	case "late": // money that should not come, for an attempt that was given up
		if w.a.Status == AttemptFailed && w.state != provider.Completed && w.state != provider.Refunded && w.a.LateSuccessAt.IsZero() && !w.remembered {
			w.takenAt, w.state = w.now, provider.Completed
			w.bring(w.ask())
		}
	}
}

func (w *world) checkEnd() {
	t := w.t
	switch w.in.Status {
	case Succeeded:
		if w.captured != 1 || w.in.CapturedAmount == 0 || w.in.CapturedAmount != w.a.CapturedAmount || w.late != 0 {
			t.Fatalf("succeeded, booked %d times, captured %d, late %d", w.captured, w.in.CapturedAmount, w.late)
		}
		if w.state != provider.Completed {
			t.Fatalf("succeeded, and the provider says %s", w.state)
		}
	case Failed, Cancelled:
		if w.captured != 0 || w.in.CapturedAmount != 0 {
			t.Fatalf("%s, and booked as captured", w.in.Status)
		}
		if w.state == provider.Completed && !w.remembered {
			t.Fatalf("%s, and the provider keeps the money", w.in.Status)
		}
		if w.late != w.returns {
			t.Fatalf("%d late successes, %d returned", w.late, w.returns)
		}
	default:
		t.Fatalf("it ended %s", w.in.Status)
	}
	if w.late > 1 || w.captured > 1 {
		t.Fatalf("booked %d and %d times", w.captured, w.late)
	}
	if last := w.in.told[len(w.in.told)-1]; last.kind != eventOf[w.in.Status] && last.kind != event.IntentLateSuccess {
		t.Fatalf("the last event is %s and the state %s", last.kind, w.in.Status)
	}
}

func TestOnlyTheTablesEdgesAreMoves(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	for from := range Edges {
		for to := range Edges {
			for _, mode := range []string{PGWProcessed, External, Manual} {
				for _, capture := range []string{CaptureAutomatic, CaptureManual} {
					in := Intent{Status: from, ProcessingMode: mode, CaptureMethod: capture}
					may := in.mayMove(to)
					if err := in.move(to, now); (err == nil) != may {
						t.Errorf("%s -> %s (%s, %s): %v", from, to, mode, capture, err)
					}
					if may && from.Final() {
						t.Errorf("%s is final and moves to %s", from, to)
					}
				}
			}
		}
	}
}

func TestPauseGrowsAndIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	previous := time.Duration(0)
	for age := time.Duration(0); age < 23*time.Hour; age += time.Minute {
		p := pause(&Attempt{Status: Ending, StatusSince: now.Add(-age)}, now, testConfig)
		if p < previous || p > time.Minute || p < testConfig.AskEvery {
			t.Fatalf("after %s: %s", age, p)
		}
		previous = p
	}
	a := Attempt{ID: "pa_1", Status: Ending, StatusSince: now.Add(-24 * time.Hour)}
	in := Intent{Status: Processing, LiveAttemptID: "pa_1", ExpiresAt: now}
	tick(&in, &a, now, testConfig)
	if a.OperatorAt.IsZero() {
		t.Error("after a day it is not a person's")
	}
}

func TestAnotherAmountIsDecidedByNoMachine(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	amount := money.Amount{Minor: 1200, Currency: money.JPY}
	a := Attempt{ID: "pa_1", Status: Waiting, Amount: amount, CodeExpiresAt: now.Add(time.Minute)}
	in := Intent{Status: RequiresAction, LiveAttemptID: "pa_1", Amount: amount, ExpiresAt: now.Add(time.Hour)}
	other := provider.Payment{State: provider.Completed, PaymentID: "p", Amount: money.Amount{Minor: 12, Currency: money.JPY}}
	fx, err := apply(&in, &a, news{kind: newsCompleted, payment: other}, now, testConfig)
	if err != nil || (fx != effects{}) || in.Status != RequiresAction || a.OperatorAt.IsZero() {
		t.Errorf("%v %+v %s", err, fx, fmt.Sprint(in.Status))
	}
}

func TestOnlyWhatWasAskedForIsTaken(t *testing.T) {
	t.Parallel()
	yen := func(n int64) money.Amount { return money.Amount{Minor: n, Currency: money.JPY} }
	for name, c := range map[string]struct {
		tries     int32
		capture   int64
		says      provider.Payment
		amount    int64
		disagreed bool
	}{
		"no amount is told":                  {says: provider.Payment{}, amount: 1200},
		"the amount":                         {says: provider.Payment{Amount: yen(1200)}, amount: 1200},
		"one yen less":                       {says: provider.Payment{Amount: yen(1199)}, disagreed: true},
		"nothing":                            {says: provider.Payment{Amount: yen(0)}, disagreed: true},
		"another currency":                   {says: provider.Payment{Amount: money.Amount{Minor: 1200, Currency: "USD"}}, disagreed: true},
		"a capture, told with what was held": {tries: 1, capture: 700, says: provider.Payment{Amount: yen(1200)}, amount: 700},
		"a capture, told with itself":        {tries: 1, capture: 700, says: provider.Payment{Amount: yen(700)}, amount: 700},
		"a capture, told with neither":       {tries: 1, capture: 700, says: provider.Payment{Amount: yen(800)}, disagreed: true},
		"an earlier capture went through":    {tries: 2, capture: 700, says: provider.Payment{Amount: yen(1200), Captured: yen(500)}, amount: 500},
		"more captured than held":            {tries: 1, capture: 700, says: provider.Payment{Amount: yen(1200), Captured: yen(1201)}, disagreed: true},
		"a part captured, not by us":         {says: provider.Payment{Amount: yen(1200), Captured: yen(500)}, disagreed: true},
		"captured in another currency":       {tries: 1, capture: 700, says: provider.Payment{Captured: money.Amount{Minor: 700, Currency: "USD"}}, disagreed: true},
	} {
		a := Attempt{Amount: yen(1200), CaptureTries: c.tries, CaptureAmount: c.capture}
		amount, agreed := a.taken(c.says)
		if agreed == c.disagreed || (agreed && amount != c.amount) {
			t.Errorf("%s: %d, agreed %v", name, amount, agreed)
		}
	}
}
