package event

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/mpac-cloud/mpac/platform/problem"
)

// CursorExpired is answered to a cursor of another epoch or of a time that the feed no longer keeps. Its `resync` member says
// how to go on.
var CursorExpired = problem.Define("cursor_expired", 410, "The cursor is past what the feed keeps")

// cursor is a place in a feed: all events up to position have been read.
type cursor struct {
	epoch    string
	position int64
}

func (c cursor) String() string { return c.epoch + "." + strconv.FormatInt(c.position, 10) }

var epochForm = regexp.MustCompile(`^[a-z0-9]{8}$`)

// parseCursor reads what a caller sends back to us; problem.BadCursor for what we never made.
func parseCursor(s string) (cursor, error) {
	epoch, digits, _ := strings.Cut(s, ".")
	position, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || position < 0 || !epochForm.MatchString(epoch) || strconv.FormatInt(position, 10) != digits {
		return cursor{}, problem.BadCursor.Field("query.after", "it is no cursor of this feed")
	}
	return cursor{epoch, position}, nil
}
