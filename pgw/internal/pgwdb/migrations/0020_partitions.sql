-- +goose Up
-- Large tables are range-partitioned by id. An id is a prefix and a ULID, so a day is a range of ids: `pi_01J...` of midnight to
-- that of the next. Each such table has a DEFAULT partition: a row of a day that has no partition yet lands there and is lost to
-- nobody; the maintenance moves it into its day's partition when it makes that.

-- True inside any tenant's scope or a named job's: what policies of tables that belong to no tenant ask.
CREATE FUNCTION pgw.scoped() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT pgw.scope_partner() IS NOT NULL OR pgw.scope_cross_tenant() IS NOT NULL $$;

-- The tables that the maintenance looks after. A migration that adds such a table adds its row here.
CREATE TABLE pgw.partitioned_tables (
    table_name  text PRIMARY KEY,
    id_column   text NOT NULL DEFAULT 'id',
    id_prefix   text NOT NULL CHECK (id_prefix ~ '^[a-z]{2,4}$'),
    -- Whole days that stay after a day is over; NULL: never dropped.
    retain_days integer CHECK (retain_days >= 2)
);
ALTER TABLE pgw.partitioned_tables ENABLE ROW LEVEL SECURITY;
ALTER TABLE pgw.partitioned_tables FORCE ROW LEVEL SECURITY;
CREATE POLICY jobs_only ON pgw.partitioned_tables USING (pgw.scope_cross_tenant() IS NOT NULL);

-- +goose StatementBegin
-- The smallest id of the prefix born at or after the instant; the same as id.ULIDFloor in Go.
CREATE FUNCTION pgw.ulid_floor(prefix text, at timestamptz) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    ms     bigint := floor(extract(epoch FROM at) * 1000);
    digits text := '';
BEGIN
    FOR place IN REVERSE 9..0 LOOP
        digits := digits || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', (((ms >> (5 * place)) & 31) + 1)::integer, 1);
    END LOOP;
    RETURN prefix || '_' || digits || repeat('0', 16);
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The UTC day in an id.
CREATE FUNCTION pgw.ulid_day(id text) RETURNS date LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    body text := split_part(id, '_', 2);
    ms   bigint := 0;
BEGIN
    FOR place IN 1..10 LOOP
        ms := ms * 32 + strpos('0123456789ABCDEFGHJKMNPQRSTVWXYZ', substr(body, place, 1)) - 1;
    END LOOP;
    RETURN (to_timestamp(ms / 1000.0) AT TIME ZONE 'UTC')::date;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Row-level security of a partition itself. The services reach partitions through their parent, whose policies hold, and have no
-- grant on a partition; this is for whoever names one directly.
CREATE FUNCTION pgw.partition_guard(part text) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('ALTER TABLE pgw.%I ENABLE ROW LEVEL SECURITY', part);
    EXECUTE format('ALTER TABLE pgw.%I FORCE ROW LEVEL SECURITY', part);
    EXECUTE format('CREATE POLICY jobs_only ON pgw.%I USING (pgw.scope_cross_tenant() IS NOT NULL)', part);
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Makes the partition of one UTC day, with the rows of that day which are in DEFAULT. False when it is there already.
-- The parent is locked against other DDL only; writers wait for the length of the attachment.
CREATE FUNCTION pgw.partition_make(tbl text, day date) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    registered pgw.partitioned_tables;
    part       text := tbl || '_' || to_char(day, 'YYYYMMDD');
    low        text;
    high       text;
    stray      boolean;
BEGIN
    SELECT * INTO registered FROM pgw.partitioned_tables WHERE table_name = tbl;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'table % is not looked after', tbl;
    END IF;
    -- A sale is not to wait long behind this; the next run tries again.
    PERFORM set_config('lock_timeout', '2000', true);
    PERFORM pg_advisory_xact_lock(hashtextextended('pgw.partitions', 0));
    IF to_regclass('pgw.' || part) IS NOT NULL THEN
        RETURN false;
    END IF;
    low := pgw.ulid_floor(registered.id_prefix, day::timestamp AT TIME ZONE 'UTC');
    high := pgw.ulid_floor(registered.id_prefix, (day + 1)::timestamp AT TIME ZONE 'UTC');
    EXECUTE format('CREATE TABLE pgw.%I (LIKE pgw.%I INCLUDING ALL)', part, tbl);
    EXECUTE format('SELECT EXISTS (SELECT FROM pgw.%I WHERE %I >= %L AND %I < %L)', tbl, registered.id_column, low, registered.id_column, high) INTO stray;
    IF stray THEN
        -- Moving is neither an update nor a delete of the fact, so the guards of append-only tables stand aside for it.
        EXECUTE format('ALTER TABLE pgw.%I DISABLE TRIGGER USER', tbl);
        EXECUTE format('WITH moved AS (DELETE FROM pgw.%I WHERE %I >= %L AND %I < %L RETURNING *) INSERT INTO pgw.%I SELECT * FROM moved',
            tbl, registered.id_column, low, registered.id_column, high, part);
        EXECUTE format('ALTER TABLE pgw.%I ENABLE TRIGGER USER', tbl);
    END IF;
    PERFORM pgw.partition_guard(part);
    EXECUTE format('ALTER TABLE pgw.%I ATTACH PARTITION pgw.%I FOR VALUES FROM (%L) TO (%L)', tbl, part, low, high);
    RETURN true;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- What there is to do at the instant: a row per partition to make ('make'; the days ahead, and days that have rows in DEFAULT) or
-- past its retention ('drop').
CREATE FUNCTION pgw.partition_work(at timestamptz, ahead integer) RETURNS TABLE (action text, table_name text, day date)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    registered pgw.partitioned_tables;
    today      date := (at AT TIME ZONE 'UTC')::date;
    stray      text;
BEGIN
    FOR registered IN SELECT * FROM pgw.partitioned_tables t ORDER BY t.table_name LOOP
        EXECUTE format('SELECT min(%I) FROM ONLY pgw.%I', registered.id_column, registered.table_name || '_default') INTO stray;
        RETURN QUERY
            SELECT 'make', registered.table_name, wanted.d
            FROM (SELECT (today + n) AS d FROM generate_series(0, ahead) n UNION SELECT pgw.ulid_day(stray) WHERE stray IS NOT NULL) wanted
            WHERE to_regclass('pgw.' || registered.table_name || '_' || to_char(wanted.d, 'YYYYMMDD')) IS NULL
            ORDER BY wanted.d;
        RETURN QUERY
            SELECT 'drop', registered.table_name, to_date(right(c.relname, 8), 'YYYYMMDD')
            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = ('pgw.' || registered.table_name)::regclass AND right(c.relname, 8) ~ '^[0-9]{8}$'
              AND to_date(right(c.relname, 8), 'YYYYMMDD') < today - registered.retain_days
            ORDER BY c.relname;
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Rows in the DEFAULT partitions, by table: an alarm when it stays above zero. Exact up to 1000 and then 1000.
CREATE FUNCTION pgw.partition_strays() RETURNS TABLE (table_name text, strays bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    FOR table_name IN SELECT t.table_name FROM pgw.partitioned_tables t ORDER BY t.table_name LOOP
        EXECUTE format('SELECT count(*) FROM (SELECT FROM ONLY pgw.%I LIMIT 1000) s', table_name || '_default') INTO strays;
        RETURN NEXT;
    END LOOP;
END
$$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION pgw.partition_guard(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION pgw.partition_make(text, date) FROM PUBLIC;
REVOKE ALL ON FUNCTION pgw.partition_work(timestamptz, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION pgw.partition_strays() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgw.partition_make(text, date), pgw.partition_work(timestamptz, integer), pgw.partition_strays() TO pgw_backend;
