package idempotency

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// Begin writes the key as running in the transaction of the work's beginning and returns its id. ErrTaken when the key is not
// free (leave the transaction and Resolve), SignatureReused when the signature came with another key.
func (s *Store) Begin(ctx context.Context, tx pgx.Tx, r Request) (string, error) {
	now := s.now()
	row, err := pgwdb.New(tx).BeginIdempotencyKey(ctx, pgwdb.BeginIdempotencyKeyParams{
		ID: r.keyID(now), YesterdaysID: r.keyID(now.Add(-Keep)), Oldest: now.Add(-Keep), PartnerID: r.PartnerID, Mode: r.Mode,
		Fingerprint: r.Fingerprint[:], CreatedAt: now, SignatureID: r.signatureID(), KeyHash: r.hash(),
	})
	switch {
	case err != nil:
		return "", fmt.Errorf("begin idempotency key: %w", err)
	case !row.Began:
		return "", ErrTaken
	case !row.Fresh:
		return "", signatureReused(ctx)
	}
	return r.keyID(now), nil
}

// Row is a finished key as a statement that writes everything at once needs it.
type Row struct {
	ID, YesterdaysID, KeyHash, SignatureID string
	Fingerprint, Answer                    []byte
	CreatedAt, Oldest                      time.Time
}

// Finished prepares the row of a key whose answer is known before its work is written.
func (s *Store) Finished(ctx context.Context, r Request, a Answer, at time.Time) (Row, error) {
	keyID := r.keyID(at)
	blob, err := s.seal(ctx, keyID, a)
	if err != nil {
		return Row{}, err
	}
	return Row{
		ID: keyID, YesterdaysID: r.keyID(at.Add(-Keep)), KeyHash: r.hash(), SignatureID: r.signatureID(),
		Fingerprint: r.Fingerprint[:], Answer: blob, CreatedAt: at, Oldest: at.Add(-Keep),
	}, nil
}

// Finish keeps the answer. When the key is finished already (a job was faster), it returns that answer instead. An outcome that
// takes longer to find out than keys are kept finds no key, and that is well.
func (s *Store) Finish(ctx context.Context, tx pgx.Tx, keyID string, a Answer) (Answer, error) {
	blob, err := s.seal(ctx, keyID, a)
	if err != nil {
		return Answer{}, err
	}
	q := pgwdb.New(tx)
	finished := s.now()
	n, err := q.FinishIdempotencyKey(ctx, pgwdb.FinishIdempotencyKeyParams{ID: keyID, Answer: blob, FinishedAt: &finished})
	if err != nil {
		return Answer{}, fmt.Errorf("finish idempotency key: %w", err)
	}
	if n == 1 {
		return a, nil
	}
	row, err := q.IdempotencyKey(ctx, keyID)
	switch {
	case postgres.IsNoRows(err):
		return a, nil // its day is over and gone: nobody asks for it any more
	case err != nil:
		return Answer{}, fmt.Errorf("read idempotency key: %w", err)
	}
	return s.open(ctx, row)
}

// Drop forgets a running key, so that it can be used again: the work did not take place.
func (s *Store) Drop(ctx context.Context, tx pgx.Tx, keyID string) error {
	if err := pgwdb.New(tx).DropIdempotencyKey(ctx, keyID); err != nil {
		return fmt.Errorf("drop idempotency key: %w", err)
	}
	return nil
}

// Resolve says what a request gets whose key is known: the kept answer, or why not. found is false when the key is free.
func (s *Store) Resolve(ctx context.Context, db *pgxpool.Pool, r Request) (a Answer, found bool, err error) {
	scope := postgres.NewScope("partner_id", r.PartnerID, "mode", r.Mode)
	err = postgres.InTx(ctx, db, scope, "pgw.idempotency.resolve", func(ctx context.Context, tx pgx.Tx) error {
		a, found, err = s.resolve(ctx, tx, r)
		return err
	})
	return a, found, err
}

func (s *Store) resolve(ctx context.Context, tx pgx.Tx, r Request) (Answer, bool, error) {
	now, q := s.now(), pgwdb.New(tx)
	if err := s.guard(ctx, q, r); err != nil {
		return Answer{}, false, err
	}
	rows, err := q.IdempotencyKeys(ctx, pgwdb.IdempotencyKeysParams{
		Ids: []string{r.keyID(now), r.keyID(now.Add(-Keep))}, Oldest: now.Add(-Keep),
	})
	if err != nil {
		return Answer{}, false, fmt.Errorf("look up idempotency key: %w", err)
	}
	if len(rows) == 0 {
		return Answer{}, false, nil
	}
	row := rows[0]
	switch {
	case string(row.Fingerprint) != string(r.Fingerprint[:]):
		count(ctx, "reused")
		return Answer{}, true, KeyReused.New("This key belongs to another request; use a fresh key for a new one.")
	case row.State == "running":
		count(ctx, "in_use")
		return Answer{}, true, KeyInUse.New("Try again in a moment with the same key.").WithHeader("Retry-After", "1")
	}
	// A repetition is signed afresh; that signature too must not open another key.
	if r.Signature != "" {
		err := q.RememberSignature(ctx, pgwdb.RememberSignatureParams{ID: r.signatureID(), PartnerID: r.PartnerID, Mode: r.Mode, KeyHash: r.hash()})
		if err != nil {
			return Answer{}, true, fmt.Errorf("remember signature: %w", err)
		}
	}
	count(ctx, "replayed")
	a, err := s.open(ctx, row)
	return a, true, err
}

// guard refuses a signature that is known to belong to another key.
func (s *Store) guard(ctx context.Context, q *pgwdb.Queries, r Request) error {
	if r.Signature == "" {
		return nil
	}
	of, err := q.SignatureKey(ctx, r.signatureID())
	switch {
	case postgres.IsNoRows(err):
		return nil
	case err != nil:
		return fmt.Errorf("look up signature: %w", err)
	case of != r.hash():
		return signatureReused(ctx)
	}
	return nil
}

func signatureReused(ctx context.Context) error {
	count(ctx, "signature_reused")
	return SignatureReused.New("Sign again: each signature goes with one Idempotency-Key.")
}

func count(ctx context.Context, what string) {
	names.IdempotencyRepeats.Add(ctx, 1, names.RepeatOutcome.Is(what))
}

func (s *Store) seal(ctx context.Context, keyID string, a Answer) ([]byte, error) {
	plain, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("keep answer: %w", err)
	}
	return s.sealer.Seal(ctx, plain, "idempotency_keys", keyID)
}

func (s *Store) open(ctx context.Context, row pgwdb.PgwIdempotencyKey) (Answer, error) {
	plain, err := s.sealer.Open(ctx, row.Answer, "idempotency_keys", row.ID)
	if err != nil {
		return Answer{}, fmt.Errorf("kept answer: %w", err)
	}
	var a Answer
	if err := json.Unmarshal(plain, &a); err != nil {
		return Answer{}, fmt.Errorf("kept answer: %w", err)
	}
	return a, nil
}
