// Package audit is the trail of reconciliation: append-only, one hash chain a partner and mode. An entry's hash covers the one
// before it, so a change in the past changes everything after it; the head, kept apart, shows what is missing at the end.
package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"
)

// Actor is who did something, from the request or the process.
type Actor struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Role string `json:"role"`
}

// Matcher is the actor of runs.
var Matcher = Actor{ID: "matcher", Name: "matcher", Role: "system"}

// Entry is one thing done.
type Entry struct {
	PartnerID string
	Mode      string
	Number    int64 // from 1, without a hole
	At        time.Time
	Actor     Actor
	Action    string // run.completed, file.received, ...
	Subject   string // the id it was done to
	Detail    string // JSON, as it was hashed
	Previous  []byte
	Hash      []byte
}

// Genesis is what the first entry of a chain has as its previous hash.
var Genesis = make([]byte, sha256.Size)

// sum is the entry's hash: SHA-256 over its fields in order, each preceded by its length, so that no two entries write alike.
func (e Entry) sum() []byte {
	h := sha256.New()
	field := func(b []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	var number [8]byte
	binary.BigEndian.PutUint64(number[:], uint64(e.Number)) //nolint:gosec // from 1
	field(e.Previous)
	field(number[:])
	for _, s := range []string{
		e.PartnerID, e.Mode, e.At.UTC().Format(time.RFC3339Nano), e.Actor.ID, e.Actor.Name, e.Actor.Role, e.Action, e.Subject, e.Detail,
	} {
		field([]byte(s))
	}
	return h.Sum(nil)
}

// follow links the entry to the one before it.
func (e Entry) follow(number int64, hash []byte) Entry {
	e.Number, e.Previous = number+1, hash
	// PostgreSQL keeps microseconds: what is hashed is what is kept.
	e.At = e.At.UTC().Truncate(time.Microsecond)
	e.Hash = e.sum()
	return e
}

// Head is the end of a chain.
type Head struct {
	PartnerID string
	Mode      string
	Number    int64
	Hash      []byte
}

// Chain checks a chain as it is read, entry by entry.
type Chain struct {
	number int64
	hash   []byte
}

// Next checks one entry; the error says what is wrong with it.
func (c *Chain) Next(e Entry) error {
	previous := c.hash
	if c.number == 0 {
		previous = Genesis
	}
	switch {
	case e.Number != c.number+1:
		return fmt.Errorf("after entry %d comes %d: entries have been removed", c.number, e.Number)
	case !bytes.Equal(e.Previous, previous):
		return fmt.Errorf("entry %d does not follow entry %d: one of them has been changed", e.Number, c.number)
	case !bytes.Equal(e.sum(), e.Hash):
		return fmt.Errorf("entry %d has been changed: its content does not give its hash", e.Number)
	}
	c.number, c.hash = e.Number, e.Hash
	return nil
}

// End checks that the chain ends where its head says.
func (c *Chain) End(h Head) error {
	if c.number != h.Number {
		return fmt.Errorf("the last entry is %d, the head says %d: entries have been removed at the end", c.number, h.Number)
	}
	if c.number > 0 && !bytes.Equal(c.hash, h.Hash) {
		return fmt.Errorf("the last entry %d is not the one that the head names", c.number)
	}
	return nil
}
