package idempotency

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/smarttabdb"
)

// Do runs work and keeps its answer, in one transaction; a repetition gets the kept answer and runs nothing. A second request
// with the same key at the same moment waits for the first. What work refuses with an error is not kept: the transaction
// is undone, and the same request may succeed later. name is the transaction's.
func Do(
	ctx context.Context, db *pgxpool.Pool, scope postgres.Scope, name string, r Request,
	work func(ctx context.Context, tx pgx.Tx) (status int, body any, err error),
) (Answer, error) {
	var answer Answer
	err := postgres.InTx(ctx, db, scope, name, func(ctx context.Context, tx pgx.Tx) error {
		kept, found, err := Lookup(ctx, tx, r)
		if err != nil {
			return err
		}
		if found {
			if kept.Running {
				return ErrRunning.New("Try again in a moment.").WithHeader("Retry-After", "1")
			}
			answer = Answer{Status: kept.Status, Body: kept.Body}
			return nil
		}
		status, body, err := work(ctx, tx)
		if err != nil {
			return err
		}
		answer, err = Keep(ctx, tx, r, status, body)
		return err
	})
	return answer, err
}

// Lookup finds what came before under the request's key. Until the transaction ends, nobody else finds or keeps anything
// under it. idempotency_key_reused when it was for another request.
func Lookup(ctx context.Context, tx pgx.Tx, r Request) (Kept, bool, error) {
	if r.Key == "" {
		return Kept{}, false, nil
	}
	q := smarttabdb.New(tx)
	err := q.IdempotencyLock(ctx, smarttabdb.IdempotencyLockParams{Caller: r.Caller, Key: r.Key})
	if postgres.IsLockTimeout(err) {
		count(ctx, "in_use")
		return Kept{}, false, ErrRunning.New("Try again in a moment.").WithHeader("Retry-After", "1").Wrap(err)
	}
	if err != nil {
		return Kept{}, false, fmt.Errorf("idempotency: lock: %w", err)
	}
	row, err := q.IdempotencyFind(ctx, smarttabdb.IdempotencyFindParams{
		Caller: r.Caller, Key: r.Key, Since: id.UUIDFloor(r.At.Add(-Retention)),
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return Kept{}, false, nil
	}
	if err != nil {
		return Kept{}, false, fmt.Errorf("idempotency: find: %w", err)
	}
	kept := Kept{ID: row.ID, Body: row.Body, Running: row.Status == nil}
	if row.Subject != nil {
		kept.Subject = *row.Subject
	}
	if row.Status != nil {
		kept.Status = int(*row.Status)
	}
	err = r.match(row.Fingerprint)
	switch {
	case err != nil:
		count(ctx, "reused")
	case kept.Running:
		count(ctx, "in_use")
	default:
		count(ctx, "replayed")
	}
	return kept, true, err
}

// Keep keeps the answer to a request that Lookup did not find, and returns it as it will be given again.
func Keep(ctx context.Context, tx pgx.Tx, r Request, status int, body any) (Answer, error) {
	content, err := json.Marshal(body)
	if err != nil {
		return Answer{}, fmt.Errorf("idempotency: answer: %w", err)
	}
	answer := Answer{Status: status, Body: content}
	if r.Key == "" {
		return answer, nil
	}
	kept := int32(status) //nolint:gosec // an HTTP status
	return answer, insert(ctx, tx, r, smarttabdb.IdempotencyInsertParams{ID: id.NewUUID(r.At), Status: &kept, Body: content})
}

// Start keeps the key of a request that Lookup did not find as running, about subject, and returns the id to Finish it by.
func Start(ctx context.Context, tx pgx.Tx, r Request, subject uuid.UUID) (uuid.UUID, error) {
	if r.Key == "" {
		return uuid.Nil, nil
	}
	started := id.NewUUID(r.At)
	return started, insert(ctx, tx, r, smarttabdb.IdempotencyInsertParams{ID: started, Subject: &subject})
}

// Finish keeps the answer to a request that was started, and returns it as it will be given again. The first answer stays.
func Finish(ctx context.Context, tx pgx.Tx, started uuid.UUID, status int, body any) (Answer, error) {
	content, err := json.Marshal(body)
	if err != nil {
		return Answer{}, fmt.Errorf("idempotency: answer: %w", err)
	}
	answer := Answer{Status: status, Body: content}
	if started == uuid.Nil {
		return answer, nil
	}
	kept := int32(status) //nolint:gosec // an HTTP status
	_, err = smarttabdb.New(tx).IdempotencyFinish(ctx, smarttabdb.IdempotencyFinishParams{ID: started, Status: &kept, Body: content})
	if err != nil {
		return Answer{}, fmt.Errorf("idempotency: finish: %w", err)
	}
	return answer, nil
}

func insert(ctx context.Context, tx pgx.Tx, r Request, row smarttabdb.IdempotencyInsertParams) error {
	row.MerchantID, row.StoreID, row.Caller, row.Key = r.MerchantID, r.StoreID, r.Caller, r.Key
	row.Fingerprint, row.CreatedAt = r.Fingerprint[:], r.At
	if err := smarttabdb.New(tx).IdempotencyInsert(ctx, row); err != nil {
		return fmt.Errorf("idempotency: keep: %w", err)
	}
	return nil
}
