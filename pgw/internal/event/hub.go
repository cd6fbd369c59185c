package event

import (
	"fmt"
	"sync"
)

// key names a feed in notifications.
func key(partnerID, mode string, shard int16) string {
	return fmt.Sprintf("%s/%s/%d", partnerID, mode, shard)
}

// Hub wakes this process's waiting readers when their feed has something new. It holds one connection that listens; its
// loss delays readers by a second at most.
type Hub struct {
	mu      sync.Mutex
	waiting map[string]map[chan struct{}]struct{}
	closed  chan struct{}
	once    sync.Once
}

// NewHub makes a hub; Run is its work.
func NewHub() *Hub {
	return &Hub{waiting: map[string]map[chan struct{}]struct{}{}, closed: make(chan struct{})}
}

// Close lets every waiting reader go with what there is: the process drains.
func (h *Hub) Close() { h.once.Do(func() { close(h.closed) }) }

// subscribe returns a channel that gets a value after each wake-up of the feed, and the way to end it.
func (h *Hub) subscribe(feed string) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting[feed] == nil {
		h.waiting[feed] = map[chan struct{}]struct{}{}
	}
	h.waiting[feed][ch] = struct{}{}
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.waiting[feed], ch)
		if len(h.waiting[feed]) == 0 {
			delete(h.waiting, feed)
		}
	}
}

func (h *Hub) wake(feed string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range h.waiting[feed] {
		nudge(ch)
	}
}

func (h *Hub) wakeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, channels := range h.waiting {
		for ch := range channels {
			nudge(ch)
		}
	}
}

func nudge(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default: // it has one already
	}
}
