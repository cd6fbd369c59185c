-- name: EnsureFeedShard :exec
INSERT INTO smarttab.feed_cursor (shard) VALUES (@shard) ON CONFLICT DO NOTHING;

-- name: LeaseFeedShard :one
-- Takes or renews the lease of a shard, by the database's clock. No row: somebody else holds it.
UPDATE smarttab.feed_cursor
SET lease_owner = @owner::text, lease_until = clock_timestamp() + make_interval(secs => @seconds::float8)
WHERE shard = @shard AND (lease_owner = @owner::text OR lease_until < clock_timestamp())
RETURNING after, applied_event, applied_until, resyncing;

-- name: ReleaseFeedShard :exec
UPDATE smarttab.feed_cursor SET lease_until = '-infinity' WHERE shard = @shard AND lease_owner = @owner;

-- name: StepFeed :one
-- One event has taken effect. False: the lease is lost, and with it the effect.
SELECT smarttab.feed_step(@shard, @owner, @event, @made, @next)::boolean AS held;

-- name: TurnFeedPage :execrows
UPDATE smarttab.feed_cursor
SET after = @after, applied_event = '', resyncing = @resyncing, updated_at = now()
WHERE shard = @shard AND lease_owner = @owner;

-- name: ParkEvent :exec
INSERT INTO smarttab.feed_parked (event_id, shard, payment_ref, type, event, reason, parked_at)
VALUES (@event_id, @shard, @payment_ref, @type, @event, @reason, @parked_at)
ON CONFLICT (event_id) DO NOTHING;

-- name: ParkedPayments :many
SELECT DISTINCT payment_ref FROM smarttab.feed_parked WHERE payment_ref = ANY(@refs::text[]) AND dropped_at IS NULL;

-- name: ParkedEvents :many
SELECT event_id, shard, payment_ref, type, event, reason, attempts, parked_at
FROM smarttab.feed_parked
WHERE payment_ref = @payment_ref AND dropped_at IS NULL
ORDER BY position;

-- name: UnparkEvent :execrows
-- What people gave up meanwhile stays.
DELETE FROM smarttab.feed_parked WHERE event_id = @event_id AND dropped_at IS NULL;

-- name: CountParkedAttempt :exec
UPDATE smarttab.feed_parked SET attempts = attempts + 1, reason = @reason WHERE event_id = @event_id AND dropped_at IS NULL;

-- name: ParkedGroups :many
-- Intents with parked events that have lain there for longer, the oldest first.
SELECT payment_ref, min(parked_at)::timestamptz AS since
FROM smarttab.feed_parked
WHERE dropped_at IS NULL AND parked_at < @before::timestamptz AND payment_ref <> ALL(@skip::text[])
GROUP BY payment_ref
ORDER BY min(parked_at)
LIMIT @max_rows;

-- name: CountParked :one
SELECT count(*) FROM smarttab.feed_parked WHERE dropped_at IS NULL;

-- name: ListParked :many
-- For people: what is set aside, or (@dropped) was given up by two of them, in the feed's order.
SELECT event_id, payment_ref, type, reason, attempts, parked_at, drop_proposed_at, dropped_at, dropped_by, approved_by, dropped_because
FROM smarttab.feed_parked
WHERE (dropped_at IS NOT NULL) = @dropped::boolean
ORDER BY position
LIMIT @max_rows;

-- name: LockParked :one
SELECT event_id, payment_ref, type, drop_proposed_at, dropped_at, dropped_by, approved_by, dropped_because
FROM smarttab.feed_parked WHERE event_id = @event_id FOR UPDATE;

-- name: ProposeDrop :exec
UPDATE smarttab.feed_parked SET drop_proposed_at = @now::timestamptz, dropped_by = @by::text, dropped_because = @because::text
WHERE event_id = @event_id;

-- name: RejectDrop :exec
UPDATE smarttab.feed_parked SET drop_proposed_at = NULL, dropped_by = NULL, dropped_because = NULL WHERE event_id = @event_id;

-- name: DropParked :exec
-- The row stays, and with it who gave the event up.
UPDATE smarttab.feed_parked SET dropped_at = @now::timestamptz, approved_by = @by::text WHERE event_id = @event_id;

-- name: KeepFeedDecision :exec
INSERT INTO smarttab.feed_decisions (event_id, payment_ref, type, action, by, name, origin, because, at)
VALUES (@event_id, @payment_ref, @type, @action, @by, @name, @origin, @because, @at);

-- name: FeedShards :many
SELECT shard, after, applied_event, applied_until, resyncing, lease_owner, greatest(lease_until, 'epoch')::timestamptz AS lease_until, updated_at
FROM smarttab.feed_cursor ORDER BY shard;
