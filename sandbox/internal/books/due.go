package books

import (
	"container/heap"
	"time"
)

// dueItem says when to look at an order again. An item that came too early or twice does no harm.
type dueItem struct {
	at  time.Time
	key Key
}

type dueHeap struct{ items dueItems }

func (h *dueHeap) push(i dueItem)           { heap.Push(&h.items, i) }
func (h *dueHeap) pop() dueItem             { return heap.Pop(&h.items).(dueItem) } //nolint:forcetypeassert // only dueItems go in
func (h *dueHeap) ready(now time.Time) bool { return len(h.items) > 0 && !h.items[0].at.After(now) }

type dueItems []dueItem

func (d dueItems) Len() int           { return len(d) }
func (d dueItems) Less(i, j int) bool { return d[i].at.Before(d[j].at) }
func (d dueItems) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }

// Push is heap's.
func (d *dueItems) Push(x any) { *d = append(*d, x.(dueItem)) } //nolint:forcetypeassert // only dueItems go in

// Pop is heap's.
func (d *dueItems) Pop() any {
	last := len(*d) - 1
	item := (*d)[last]
	*d = (*d)[:last]
	return item
}
