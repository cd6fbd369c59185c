package event

import (
	"errors"
	"slices"
)

// tail is what a sequencer knows of the outbox's end, so that it reads new rows only. It is pure: the database's answers come
// in, and what to read next comes out.
//
// A row gets its number when it is written and is seen when its transaction commits, so numbers below the highest one seen may
// be missing: of transactions still open (which may come yet), or rolled back (which never will). A missing number is kept
// as a gap and asked for each time, until it comes or is proved dead: when every transaction that had the outbox locked after
// the gap was noticed is over, whoever owned the number is too, and one more look decides.
//
// In the beginning nothing is known, so everything is read, until the same proof holds for all numbers given out before.
type tail struct {
	// high is the highest number seen, or given out when the sequencer began.
	high int64
	// before are the open writers of that beginning; settled once they are over and everything has been read once more.
	before  generation
	settled bool
	// later holds the gaps noticed since, the newest generation last.
	later []generation
}

// generation is a set of gaps that are proved dead together.
type generation struct {
	gaps map[int64]struct{}
	// writers may own the gaps; nil until they were counted after the last gap came in.
	writers []string
	// ripe: no writer is left, and the next look decides.
	ripe bool
}

// maxGaps bounds the memory; beyond it the sequencer begins anew.
const maxGaps = 100_000

var errTooManyGaps = errors.New("too many gaps in the outbox")

// newTail begins with the highest number given out and, asked for after that, the transactions that write.
func newTail(last int64, writers []string) *tail {
	return &tail{high: last, before: generation{writers: writers, ripe: len(writers) == 0}}
}

// next is what to read: the rows above after, and those of the gaps.
func (t *tail) next() (after int64, gaps []int64) {
	if !t.settled {
		return 0, nil
	}
	gaps = []int64{}
	for _, g := range t.later {
		for n := range g.gaps {
			gaps = append(gaps, n)
		}
	}
	return t.high, gaps
}

// took takes in what a look at the rows of next found; full: the look was cut by the size of the batch.
func (t *tail) took(numbers []int64, full bool) error {
	for _, g := range t.later {
		for _, n := range numbers {
			delete(g.gaps, n)
		}
	}
	if err := t.notice(numbers); err != nil {
		return err
	}
	if t.before.ripe && !full {
		t.settled = true
	}
	// While everything is read the look may have been cut below the gaps.
	if t.settled {
		t.later = slices.DeleteFunc(t.later, func(g generation) bool { return len(g.gaps) == 0 || g.ripe })
	}
	return nil
}

// notice makes gaps of the numbers missing between the highest seen so far and the highest now.
func (t *tail) notice(numbers []int64) error {
	top := t.high
	found := make(map[int64]struct{}, len(numbers))
	for _, n := range numbers {
		top = max(top, n)
		found[n] = struct{}{}
	}
	if top-t.high-int64(len(numbers)) > maxGaps {
		return errTooManyGaps
	}
	for n := t.high + 1; n < top; n++ {
		if _, ok := found[n]; ok {
			continue
		}
		if open := len(t.later) - 1; open < 0 || t.later[open].writers != nil {
			t.later = append(t.later, generation{gaps: map[int64]struct{}{}})
		}
		t.later[len(t.later)-1].gaps[n] = struct{}{}
	}
	t.high = top
	return nil
}

// wondering tells whether a census would teach anything.
func (t *tail) wondering() bool { return !t.settled || len(t.later) > 0 }

// census takes in which transactions write now.
func (t *tail) census(writers []string) {
	t.before.outlived(writers)
	for i := range t.later {
		g := &t.later[i]
		if g.writers == nil {
			g.writers = append([]string{}, writers...)
		}
		g.outlived(writers)
	}
}

func (g *generation) outlived(writers []string) {
	g.writers = slices.DeleteFunc(g.writers, func(w string) bool { return !slices.Contains(writers, w) })
	g.ripe = g.ripe || len(g.writers) == 0
}
