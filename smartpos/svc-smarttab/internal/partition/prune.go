package partition

import (
	"time"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/id"
)

// Since is the least id that a row can have which came after the row named by u, or up to margin before it: given to a query, it
// keeps the query off the partitions of earlier days. For an id that carries no time it is the least of all.
func Since(u uuid.UUID, margin time.Duration) uuid.UUID {
	born, err := id.UUIDTime(u)
	if err != nil {
		return uuid.Nil
	}
	return id.UUIDFloor(born.Add(-margin))
}

// Skew is the margin between rows that were written one after the other, maybe by two machines.
const Skew = time.Hour
