-- name: InsertOutbox :one
INSERT INTO portal.sync_outbox (psp_id, merchant_id, store_id, entity, entity_id, version, created_at)
VALUES (@psp_id, @merchant_id, sqlc.narg(store_id), @entity, @entity_id, @version, @now)
RETURNING id;

-- name: TakeLease :execrows
INSERT INTO portal.sync_leases (merchant_id, psp_id, holder, leased_until) VALUES (@merchant_id, @psp_id, @holder, @leased_until)
ON CONFLICT (merchant_id) DO UPDATE SET holder = excluded.holder, leased_until = excluded.leased_until
WHERE sync_leases.leased_until <= @now OR sync_leases.holder = excluded.holder;

-- name: ReleaseLease :exec
UPDATE portal.sync_leases SET leased_until = @now WHERE merchant_id = @merchant_id AND holder = @holder;

-- name: NextOutbox :one
SELECT * FROM portal.sync_outbox WHERE merchant_id = @merchant_id AND done_at IS NULL ORDER BY id LIMIT 1;

-- name: OutboxDone :exec
-- What was sent was the state of at least this version: every earlier change of the same thing is told by it too.
UPDATE portal.sync_outbox SET done_at = @now, attempts = attempts + 1, last_tried_at = @now, last_error = NULL
WHERE merchant_id = @merchant_id AND entity_id = @entity_id AND done_at IS NULL AND version <= @version;

-- name: OutboxFailed :exec
UPDATE portal.sync_outbox SET attempts = attempts + 1, last_tried_at = @now, last_error = @last_error WHERE id = @id;

-- name: Outbox :one
SELECT * FROM portal.sync_outbox WHERE id = @id;

-- name: ListOutbox :many
SELECT * FROM portal.sync_outbox
WHERE (sqlc.narg(before)::bigint IS NULL OR id < sqlc.narg(before))
  AND (sqlc.narg(merchant_id)::uuid IS NULL OR merchant_id = sqlc.narg(merchant_id))
  AND (sqlc.narg(pending)::boolean IS NULL OR (done_at IS NULL) = sqlc.narg(pending))
  AND (sqlc.narg(stuck)::boolean IS NULL OR (done_at IS NULL AND attempts >= @stuck_after::integer) = sqlc.narg(stuck))
ORDER BY id DESC LIMIT @page_size;

-- name: LatestOutbox :many
-- The newest change of each of the things.
SELECT DISTINCT ON (entity_id) * FROM portal.sync_outbox WHERE entity_id = ANY(@entity_ids::uuid[]) ORDER BY entity_id, id DESC;

-- name: OutboxBacklog :one
SELECT count(*) AS pending, coalesce(min(created_at), @now::timestamptz)::timestamptz AS oldest FROM portal.sync_outbox WHERE done_at IS NULL;

-- name: OverdueOutbox :many
-- Merchants whose changes wait although nobody has the turn and the last try is long over: their task died.
SELECT o.merchant_id, o.psp_id, max(o.id)::bigint AS up_to FROM portal.sync_outbox o
WHERE o.done_at IS NULL
  AND NOT EXISTS (SELECT FROM portal.sync_leases l WHERE l.merchant_id = o.merchant_id AND l.leased_until > @now)
GROUP BY o.merchant_id, o.psp_id HAVING min(coalesce(o.last_tried_at, o.created_at)) < @before::timestamptz
LIMIT 100;
