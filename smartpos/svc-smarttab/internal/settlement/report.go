package settlement

import (
	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/wire"
)

// The problems that only the close of day has.
var (
	ErrAlreadyClosed = problem.Define("day_already_closed", 409, "The business day has its Z")
	ErrNotBegun      = problem.Define("day_not_begun", 409, "The business day has not begun")
	ErrEarlierOpen   = problem.Define("earlier_day_open", 409, "An earlier business day is still open")
	ErrNotClosed     = problem.Define("day_not_closed", 409, "The business day has no Z to correct")
	ErrNotFirst      = problem.Define("settlement_is_correction", 409, "A correction cannot be corrected; correct the first Z again")
)

// DayReport is an X or a Z: what a store's business day came to. Amounts are in the minor unit of its currency.
type DayReport struct {
	ID          *uuid.UUID `json:"id" nullable:"true" doc:"null while nothing has been booked to the day"`
	StoreID     uuid.UUID  `json:"store_id"`
	BusinessDay string     `json:"business_day" example:"2026-04-01"`
	Status      Status     `json:"status" enum:"open,closed,reconciled" doc:"reconciled: every provider payment of the day has been found in the providers' own files"`
	Number      *int64     `json:"number" doc:"The Z's number, without gaps within the store; null while open"`
	Currency    string     `json:"currency"`
	Corrects    *uuid.UUID `json:"corrects_id" nullable:"true" doc:"Of a correction: the first Z of the day"`
	Reason      *string    `json:"correction_reason"`
	OpenedAt    wire.Time  `json:"opened_at"`
	ClosedAt    *wire.Time `json:"closed_at" nullable:"true"`
	ClosedBy    *string    `json:"closed_by" doc:"User or device id"`
	Reconciled  *wire.Time `json:"reconciled_at" nullable:"true"`
	Figures
	ExpectedCash int64            `json:"expected_cash" doc:"Float + cash sales - cash refunds + paid in - paid out"`
	CountedCash  *int64           `json:"counted_cash"`
	Difference   *int64           `json:"difference" doc:"Counted less expected"`
	Counted      map[string]int64 `json:"counted" doc:"Pieces by denomination, as counted"`
	OpenDays     []string         `json:"earlier_open_days" nullable:"false" doc:"Of the current report: days before this one that have no Z yet"`
}
