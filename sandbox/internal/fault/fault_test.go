package fault_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mpac-cloud/mpac/sandbox/internal/fault"
)

func TestAFaultActsAsOftenAsAsked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ times, want int }{"once by itself": {0, 1}, "three times": {3, 3}, "for ever": {-1, 10}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var box fault.Box
			box.Add(fault.Fault{Operation: fault.Refund, Kind: fault.ErrorAfter, Times: c.times})
			acted := 0
			for range 10 {
				if _, hit := box.Call(fault.Refund, fault.Target{}); hit {
					acted++
				}
			}
			if acted != c.want {
				t.Errorf("it acted %d times, want %d", acted, c.want)
			}
			if left := len(box.List()); (left == 1) != (c.times == -1) {
				t.Errorf("%d left", left)
			}
		})
	}
}

func TestAFaultKeepsToItsTarget(t *testing.T) {
	t.Parallel()
	here := fault.Target{MerchantID: "m1", StoreID: "s1", MerchantPaymentID: "p1"}
	cases := map[string]struct {
		fault     fault.Fault
		operation string
		hits      bool
	}{
		"everything":       {fault.Fault{Operation: fault.Cancel}, fault.Cancel, true},
		"other operation":  {fault.Fault{Operation: fault.Cancel}, fault.Refund, false},
		"any operation":    {fault.Fault{Operation: fault.Any}, fault.Refund, true},
		"its store":        {fault.Fault{Operation: fault.Cancel, StoreID: "s1"}, fault.Cancel, true},
		"another store":    {fault.Fault{Operation: fault.Cancel, StoreID: "s2"}, fault.Cancel, false},
		"its payment":      {fault.Fault{Operation: fault.Cancel, MerchantPaymentID: "p1"}, fault.Cancel, true},
		"another payment":  {fault.Fault{Operation: fault.Cancel, MerchantPaymentID: "p2"}, fault.Cancel, false},
		"another merchant": {fault.Fault{Operation: fault.Cancel, MerchantID: "m2"}, fault.Cancel, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var box fault.Box
			c.fault.Kind = fault.Slow
			box.Add(c.fault)
			if _, hit := box.Call(c.operation, here); hit != c.hits {
				t.Errorf("hit is %v", hit)
			}
		})
	}
}

func TestWebhookFaultsAreNotForCalls(t *testing.T) {
	t.Parallel()
	var box fault.Box
	box.Add(fault.Fault{Operation: fault.Webhook, Kind: fault.WebhookDrop})
	box.Add(fault.Fault{Operation: fault.Webhook, Kind: fault.WebhookForged})
	if f, hit := box.Call(fault.Any, fault.Target{}); hit {
		t.Errorf("a call met %s", f.Kind)
	}
	if f, hit := box.Webhook(fault.Target{}); !hit || f.Kind != fault.WebhookDrop {
		t.Errorf("got %v %s", hit, f.Kind)
	}
	if !box.Forged(fault.Target{}) || box.Forged(fault.Target{}) {
		t.Error("a forged webhook is made once")
	}
}

func TestRemoveAndClear(t *testing.T) {
	t.Parallel()
	var box fault.Box
	first := box.Add(fault.Fault{Operation: fault.Pay, Kind: fault.Slow})
	box.Add(fault.Fault{Operation: fault.Pay, Kind: fault.RateLimit})
	if first.DelayMS == 0 || first.Times != 1 {
		t.Errorf("defaults are %+v", first)
	}
	if !box.Remove(first.ID) || box.Remove(first.ID) || len(box.List()) != 1 {
		t.Error("remove")
	}
	if box.Clear(); len(box.List()) != 0 {
		t.Error("clear")
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		fault fault.Fault
		field string
	}{
		"good":                  {fault.Fault{Operation: fault.Refund, Kind: fault.Slow}, ""},
		"no operation":          {fault.Fault{Operation: "x", Kind: fault.Slow}, "operation"},
		"no kind":               {fault.Fault{Operation: fault.Refund, Kind: "x"}, "kind"},
		"webhook of a call":     {fault.Fault{Operation: fault.Refund, Kind: fault.WebhookDrop}, "kind"},
		"call of a webhook":     {fault.Fault{Operation: fault.Webhook, Kind: fault.RateLimit}, "kind"},
		"refund before webhook": {fault.Fault{Operation: fault.Refund, Kind: fault.WebhookBeforeAnswer}, "kind"},
		"refuse with nothing":   {fault.Fault{Operation: fault.Refund, Kind: fault.Refuse}, "code"},
	}
	for name, c := range cases {
		if field, reason := c.fault.Check(); field != c.field {
			t.Errorf("%s: %q %q", name, field, reason)
		}
	}
}

func TestManyCallersMeetAFaultOnce(t *testing.T) {
	t.Parallel()
	var box fault.Box
	box.Add(fault.Fault{Operation: fault.Pay, Kind: fault.ErrorBefore, Times: 5})
	var met atomic.Int32
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			if _, hit := box.Call(fault.Pay, fault.Target{}); hit {
				met.Add(1)
			}
		})
	}
	group.Wait()
	if met.Load() != 5 {
		t.Errorf("met %d times", met.Load())
	}
}
