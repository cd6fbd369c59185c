package event

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// outbox is PostgreSQL's part as a model: transactions lock, get numbers, and end; a look sees what is committed.
type outbox struct {
	last      int64
	open      map[string][]int64 // transaction -> its numbers
	committed []int64            // rows there are
	begun     int
	taken     map[int64]bool
}

func (o *outbox) writers() []string { return slices.Sorted(maps.Keys(o.open)) }

// look answers a query for the rows above after and those of gaps, cut to size.
func (o *outbox) look(after int64, gaps []int64, size int) []int64 {
	slices.Sort(o.committed)
	var found []int64
	for _, n := range o.committed {
		if n > after && len(found) < size {
			found = append(found, n)
		}
	}
	for _, n := range o.committed {
		if n <= after && slices.Contains(gaps, n) {
			found = append(found, n)
		}
	}
	o.committed = slices.DeleteFunc(o.committed, func(n int64) bool { return slices.Contains(found, n) })
	return found
}

// Whatever opens, commits and rolls back in whatever order: each committed number is taken once, no look takes a number while
// an older one is seen and left, and in the end nothing is remembered.
func TestTailFindsEveryNumberOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const size = 5
		o := &outbox{open: map[string][]int64{}, taken: map[int64]bool{}}
		var tl *tail
		step := func() {
			after, gaps := tl.next()
			before := slices.Clone(o.committed)
			found := o.look(after, gaps, size)
			for _, n := range found {
				if o.taken[n] {
					t.Fatalf("%d was taken twice", n)
				}
				o.taken[n] = true
			}
			// The order of versions hangs on this: what was there and older goes first.
			for _, left := range o.committed {
				if slices.Contains(before, left) && len(found) > 0 && left < slices.Max(found) {
					t.Fatalf("%d was left behind while %v was taken (after %d, gaps %v)", left, found, after, gaps)
				}
			}
			if err := tl.took(found, len(found) >= size); err != nil {
				t.Fatal(err)
			}
		}
		all := 0
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0, 1:
				o.begun++
				o.open[fmt.Sprint("t", o.begun)] = nil
			case 2, 3, 4:
				if len(o.open) > 0 {
					w := rapid.SampledFrom(o.writers()).Draw(t, "writer")
					o.last++
					o.open[w] = append(o.open[w], o.last)
				}
			case 5, 6:
				if len(o.open) > 0 {
					w := rapid.SampledFrom(o.writers()).Draw(t, "ends")
					if rapid.IntRange(0, 3).Draw(t, "rolls back") > 0 {
						o.committed = append(o.committed, o.open[w]...)
						all += len(o.open[w])
					}
					delete(o.open, w)
				}
			case 7, 8:
				if tl == nil {
					tl = newTail(o.last, o.writers())
				}
				step()
			case 9:
				if tl != nil {
					tl.census(o.writers())
				}
			}
		}
		if tl == nil {
			tl = newTail(o.last, o.writers())
		}
		for w, numbers := range o.open {
			o.committed = append(o.committed, numbers...)
			all += len(numbers)
			delete(o.open, w)
		}
		for range all + 10 {
			step()
			tl.census(o.writers())
		}
		step()
		if len(o.taken) != all {
			t.Fatalf("%d of %d numbers were taken; %+v", len(o.taken), all, tl)
		}
		if !tl.settled || len(tl.later) > 0 {
			t.Fatalf("still wondering: %+v", tl)
		}
	})
}

func TestTailGivesUpOnAnAbyss(t *testing.T) {
	t.Parallel()
	tl := newTail(0, nil)
	if err := tl.took([]int64{maxGaps * 2}, false); err == nil {
		t.Error("an outbox with a hundred thousand gaps is followed")
	}
}
