-- +goose Up
-- The event feed. A writer puts the event and a row of the outbox into its own transaction; the sequencer gives what is committed
-- the next positions of its feed. So a position exists only for a committed event, there are no holes, and an open transaction
-- keeps nobody waiting.

CREATE TABLE pgw.events (
    id                text COLLATE "C" PRIMARY KEY,
    partner_id        text NOT NULL,
    mode              text NOT NULL CHECK (mode IN ('test', 'live')),
    merchant_id       text NOT NULL,
    payment_intent_id text COLLATE "C" NOT NULL,
    -- The intent's version after the change.
    version           bigint NOT NULL CHECK (version > 0),
    type              text NOT NULL CHECK (type IN (
        'payment_intent.created', 'payment_intent.requires_action', 'payment_intent.processing', 'payment_intent.requires_capture',
        'payment_intent.succeeded', 'payment_intent.failed', 'payment_intent.cancelled', 'payment_intent.reconciled',
        'payment_intent.late_success',
        'refund.created', 'refund.processing', 'refund.succeeded', 'refund.failed')),
    -- {"object": the PaymentIntent or Refund as of this event}.
    data              json NOT NULL,
    -- The W3C trace context of the writer, so that a consumer's span can link to it.
    traceparent       text,
    created_at        timestamptz NOT NULL
) PARTITION BY RANGE (id);
CREATE TABLE pgw.events_default PARTITION OF pgw.events DEFAULT;

-- Committed events without a position yet. Small: the sequencer empties it all the time.
CREATE TABLE pgw.event_outbox (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id   text COLLATE "C" NOT NULL,
    partner_id text NOT NULL,
    mode       text NOT NULL,
    shard      smallint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE pgw.event_positions (
    event_id   text COLLATE "C" NOT NULL,
    partner_id text NOT NULL,
    mode       text NOT NULL,
    shard      smallint NOT NULL,
    position   bigint NOT NULL CHECK (position > 0),
    PRIMARY KEY (partner_id, mode, shard, position, event_id)
) PARTITION BY RANGE (event_id);
CREATE TABLE pgw.event_positions_default PARTITION OF pgw.event_positions DEFAULT;

-- A feed: a partner's events of one mode and shard.
CREATE TABLE pgw.event_feeds (
    partner_id     text NOT NULL,
    mode           text NOT NULL CHECK (mode IN ('test', 'live')),
    shard          smallint NOT NULL CHECK (shard >= 0),
    last_position  bigint NOT NULL CHECK (last_position >= 0),
    -- Everything up to here is past retention and dropped.
    floor_position bigint NOT NULL DEFAULT 0 CHECK (floor_position <= last_position),
    PRIMARY KEY (partner_id, mode, shard)
) WITH (fillfactor = 50);

-- One row. epoch changes when positions lose their meaning: after a restore, or with another number of shards.
CREATE TABLE pgw.event_sequencer (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch   text NOT NULL CHECK (epoch ~ '^[a-z0-9]{8}$'),
    shards  smallint NOT NULL DEFAULT 1 CHECK (shards BETWEEN 1 AND 1024),
    -- The sequencer sleeps until it is notified. While it is at work writers need not notify: NOTIFY makes commits queue up.
    waiting boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);
INSERT INTO pgw.event_sequencer (epoch) VALUES (substr(md5(gen_random_uuid()::text), 1, 8));

-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['events', 'event_outbox', 'event_positions', 'event_feeds'] LOOP
        EXECUTE format('ALTER TABLE pgw.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE pgw.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON pgw.%I USING (pgw.visible(partner_id, mode))', name);
    END LOOP;
END
$$;
-- +goose StatementEnd
ALTER TABLE pgw.event_sequencer ENABLE ROW LEVEL SECURITY;
ALTER TABLE pgw.event_sequencer FORCE ROW LEVEL SECURITY;
CREATE POLICY scoped ON pgw.event_sequencer USING (pgw.scoped());

SELECT pgw.partition_guard('events_default'), pgw.partition_guard('event_positions_default');
-- The owner obeys row-level security too.
SELECT set_config('mpac.cross_tenant', 'migration', true);
-- Positions go with their events, in pgw.partition_drop.
INSERT INTO pgw.partitioned_tables (table_name, id_column, id_prefix, retain_days) VALUES
    ('events', 'id', 'ev', 30), ('event_positions', 'event_id', 'ev', NULL);

GRANT SELECT, INSERT ON pgw.events, pgw.event_positions TO pgw_backend;
GRANT SELECT, INSERT, DELETE ON pgw.event_outbox TO pgw_backend;
-- What it has given out.
GRANT SELECT ON SEQUENCE pgw.event_outbox_seq_seq TO pgw_backend;
GRANT SELECT, INSERT, UPDATE ON pgw.event_feeds TO pgw_backend;
GRANT SELECT, UPDATE ON pgw.event_sequencer TO pgw_backend;
-- The matcher tells what is reconciled.
GRANT SELECT, INSERT ON pgw.events, pgw.event_outbox TO matcher;
GRANT SELECT ON pgw.event_sequencer TO matcher;

-- A merchant's events are all in one shard.
CREATE FUNCTION pgw.event_shard(merchant_id text, shards smallint) RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT (((hashtextextended(merchant_id, 0) % shards) + shards) % shards)::smallint $$;

-- +goose StatementBegin
-- How one event comes into being. plpgsql keeps the plans of its statements in the session; a function of language sql would be
-- planned anew at each call, which costs more than the inserts.
CREATE FUNCTION pgw.event_append(
    id text, partner_id text, mode text, merchant_id text, payment_intent_id text, version bigint, type text, data json,
    traceparent text, created_at timestamptz
) RETURNS void LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO pgw.events (id, partner_id, mode, merchant_id, payment_intent_id, version, type, data, traceparent, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);
    INSERT INTO pgw.event_outbox (event_id, partner_id, mode, shard)
    SELECT $1, $2, $3, pgw.event_shard($4, s.shards) FROM pgw.event_sequencer s WHERE s.one;
    PERFORM pg_notify('pgw_event_outbox', '') FROM pgw.event_sequencer s WHERE s.one AND s.waiting;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The same for many at once, in the order of the arrays: the matcher tells of a thousand payments in a transaction.
CREATE FUNCTION pgw.event_append_many(
    ids text[], partner_ids text[], modes text[], merchant_ids text[], payment_intent_ids text[], versions bigint[], types text[], data text[],
    traceparent text, created_at timestamptz[]
) RETURNS void LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO pgw.events (id, partner_id, mode, merchant_id, payment_intent_id, version, type, data, traceparent, created_at)
    SELECT u.id, u.partner_id, u.mode, u.merchant_id, u.payment_intent_id, u.version, u.type, u.data::json, $9, u.created_at
    FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $10)
        AS u (id, partner_id, mode, merchant_id, payment_intent_id, version, type, data, created_at);
    -- The outbox numbers in the order of the SELECT.
    INSERT INTO pgw.event_outbox (event_id, partner_id, mode, shard)
    SELECT u.id, u.partner_id, u.mode, pgw.event_shard(u.merchant_id, s.shards)
    FROM unnest($1, $2, $3, $4) WITH ORDINALITY AS u (id, partner_id, mode, merchant_id, place), pgw.event_sequencer s
    WHERE s.one
    ORDER BY u.place;
    PERFORM pg_notify('pgw_event_outbox', '') FROM pgw.event_sequencer s WHERE s.one AND s.waiting;
END
$$;
-- +goose StatementEnd

-- The highest number that the outbox has given out, committed or not.
CREATE FUNCTION pgw.event_outbox_last() RETURNS bigint LANGUAGE sql
AS $$ SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM pgw.event_outbox_seq_seq $$;

-- +goose StatementBegin
-- The transactions that have written to the outbox, or are about to, and are still open: each takes this lock before it gets its
-- number and holds it to its end.
CREATE FUNCTION pgw.event_outbox_writers() RETURNS text[] LANGUAGE sql
AS $$
    SELECT coalesce(array_agg(DISTINCT l.virtualtransaction), '{}')
    FROM pg_locks l
    WHERE l.locktype = 'relation' AND l.relation = 'pgw.event_outbox'::regclass AND l.mode = 'RowExclusiveLock'
      AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Drops the partition of one UTC day. Events go with their positions, and their feeds remember up to where they are gone: a
-- cursor from before that is told so, instead of being led over a hole.
CREATE FUNCTION pgw.partition_drop(tbl text, day date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    low  text := pgw.ulid_floor('ev', day::timestamp AT TIME ZONE 'UTC');
    high text := pgw.ulid_floor('ev', (day + 1)::timestamp AT TIME ZONE 'UTC');
BEGIN
    IF NOT EXISTS (SELECT FROM pgw.partitioned_tables t WHERE t.table_name = tbl AND t.retain_days IS NOT NULL) THEN
        RAISE EXCEPTION 'table % keeps its rows for ever', tbl;
    END IF;
    -- A sale is not to wait long behind this; the next run tries again.
    PERFORM set_config('lock_timeout', '2000', true);
    PERFORM pg_advisory_xact_lock(hashtextextended('pgw.partitions', 0));
    IF tbl = 'events' THEN
        -- Behind the sequencer's back an event of that day could still be numbered.
        PERFORM pg_advisory_xact_lock(hashtextextended('pgw.event.number', 0));
        UPDATE pgw.event_feeds f
        SET floor_position = greatest(f.floor_position, (
            SELECT max(p.position) FROM pgw.event_positions p
            WHERE p.partner_id = f.partner_id AND p.mode = f.mode AND p.shard = f.shard AND p.event_id >= low AND p.event_id < high));
        EXECUTE format('DROP TABLE IF EXISTS pgw.%I', 'event_positions_' || to_char(day, 'YYYYMMDD'));
    END IF;
    EXECUTE format('DROP TABLE IF EXISTS pgw.%I', tbl || '_' || to_char(day, 'YYYYMMDD'));
END
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION pgw.partition_drop(text, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgw.partition_drop(text, date) TO pgw_backend;
