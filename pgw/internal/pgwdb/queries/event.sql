-- name: AppendEvent :exec
SELECT pgw.event_append(
    @id::text, @partner_id::text, @mode::text, @merchant_id::text, @payment_intent_id::text, @version::bigint, @type::text,
    @data::json, sqlc.narg(traceparent)::text, @created_at::timestamptz);

-- name: AppendEvents :exec
SELECT pgw.event_append_many(
    @ids::text[], @partner_ids::text[], @modes::text[], @merchant_ids::text[], @payment_intent_ids::text[], @versions::bigint[], @types::text[],
    @data::text[], sqlc.narg(traceparent)::text, @created_at::timestamptz[]);

-- name: LockNumbering :exec
-- One batch at a time, whoever numbers. A sequencer that stops in the middle loses its transaction, and the lock, after five seconds.
SELECT pg_advisory_xact_lock(hashtextextended('pgw.event.number', 0)), set_config('idle_in_transaction_session_timeout', '5000', true);

-- name: NumberEvents :one
-- Gives committed events the next positions of their feeds and wakes the feeds' readers. Says which rows of the outbox it took.
-- The order is that of the outbox: a later version of an intent was written after the earlier one was committed. It reads
-- what is above @after, and the rows below that were not committed when the sequencer came by; so it never walks over the
-- remains of what it has deleted, which stay in the index as long as any transaction is open.
WITH batch AS MATERIALIZED (
    (SELECT o.seq, o.event_id, o.partner_id, o.mode, o.shard FROM pgw.event_outbox o WHERE o.seq > @after ORDER BY o.seq LIMIT @batch_size)
    UNION ALL
    SELECT o.seq, o.event_id, o.partner_id, o.mode, o.shard FROM pgw.event_outbox o WHERE o.seq = ANY(@gaps::bigint[])
), gone AS (
    DELETE FROM pgw.event_outbox o USING batch b WHERE o.seq = b.seq
), arrivals AS (
    SELECT b.partner_id, b.mode, b.shard, count(*) AS n FROM batch b GROUP BY b.partner_id, b.mode, b.shard
), feeds AS (
    INSERT INTO pgw.event_feeds AS f (partner_id, mode, shard, last_position)
    SELECT a.partner_id, a.mode, a.shard, a.n FROM arrivals a
    ON CONFLICT (partner_id, mode, shard) DO UPDATE SET last_position = f.last_position + excluded.last_position
    RETURNING f.partner_id, f.mode, f.shard, f.last_position
), numbered AS (
    INSERT INTO pgw.event_positions (event_id, partner_id, mode, shard, position)
    SELECT b.event_id, b.partner_id, b.mode, b.shard,
        f.last_position - a.n + row_number() OVER (PARTITION BY b.partner_id, b.mode, b.shard ORDER BY b.seq)
    FROM batch b
    JOIN arrivals a ON a.partner_id = b.partner_id AND a.mode = b.mode AND a.shard = b.shard
    JOIN feeds f ON f.partner_id = b.partner_id AND f.mode = b.mode AND f.shard = b.shard
    RETURNING 1
), woken AS (
    SELECT pg_notify('pgw_event_feed', f.partner_id || '/' || f.mode || '/' || f.shard) FROM feeds f
)
SELECT (SELECT count(*) FROM numbered) AS numbered, (SELECT count(*) FROM woken) AS feeds,
    (SELECT coalesce(min(b.event_id), '') FROM batch b)::text AS oldest,
    (SELECT coalesce(array_agg(b.seq), '{}') FROM batch b)::bigint[] AS taken;

-- name: OutboxLast :one
SELECT pgw.event_outbox_last()::bigint AS last;

-- name: OutboxWriters :one
SELECT pgw.event_outbox_writers()::text[] AS writers;

-- name: SetSequencerWaiting :exec
UPDATE pgw.event_sequencer SET waiting = @waiting WHERE one AND waiting <> @waiting;

-- name: FeedState :one
SELECT s.epoch, s.shards, coalesce(f.last_position, 0)::bigint AS last_position, coalesce(f.floor_position, 0)::bigint AS floor_position
FROM pgw.event_sequencer s
LEFT JOIN pgw.event_feeds f ON f.partner_id = @partner_id AND f.mode = @mode AND f.shard = @shard
WHERE s.one;

-- name: ReadEvents :many
-- OFFSET 0 makes it look each event of the page up by its id, whatever the statistics of today's partition say.
WITH page AS MATERIALIZED (
    SELECT p.position, p.event_id FROM pgw.event_positions p
    WHERE p.partner_id = @partner_id AND p.mode = @mode AND p.shard = @shard AND p.position > @after
    ORDER BY p.position
    LIMIT @row_limit
)
SELECT page.position, e.*
FROM page CROSS JOIN LATERAL (SELECT * FROM pgw.events WHERE events.id = page.event_id OFFSET 0) e
ORDER BY page.position;

-- name: NewEpoch :exec
UPDATE pgw.event_sequencer SET epoch = @epoch, shards = @shards WHERE one;

-- name: OutboxWaiting :one
-- How many events wait for a position, up to 10000.
SELECT count(*) AS waiting FROM (SELECT FROM pgw.event_outbox LIMIT 10000) o;
