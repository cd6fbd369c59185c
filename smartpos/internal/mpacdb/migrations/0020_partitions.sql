-- +goose Up
-- svc-smarttab's large tables are range-partitioned by id. Ids are UUIDv7, which begin with their time of birth in
-- milliseconds: a UTC day is a range of ids. Each such table has a partition a day, made days ahead by the service's
-- upkeep, and a DEFAULT one: a row of a day without a partition lands there and is lost to nobody.
--
-- The service's role owns nothing, so it makes and drops partitions through the functions here. They look after every
-- partitioned table of the schema: a migration that adds one ends with SELECT smarttab.partition_default('its name').

-- Tables whose rows may go: whole days that stay after a day is over. A table that is not here keeps everything.
CREATE TABLE smarttab.partition_retention (
    table_name  text PRIMARY KEY,
    retain_days integer NOT NULL CHECK (retain_days >= 1)
);
ALTER TABLE smarttab.partition_retention ENABLE ROW LEVEL SECURITY;
ALTER TABLE smarttab.partition_retention FORCE ROW LEVEL SECURITY;
CREATE POLICY jobs_only ON smarttab.partition_retention USING (mpac.scope_cross_tenant());

-- +goose StatementBegin
-- A lower bound of every UUIDv7 born at or after midnight UTC of the day; the same as id.UUIDFloor in Go.
CREATE FUNCTION smarttab.uuid_floor(day date) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT (lpad(to_hex((extract(epoch FROM day::timestamp) * 1000)::bigint), 12, '0') || '70008000000000000000')::uuid
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION smarttab.partition_default(tbl text) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF to_regclass('smarttab.' || quote_ident(tbl || '_default')) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE smarttab.%I PARTITION OF smarttab.%I DEFAULT', tbl || '_default', tbl);
    -- Nobody has rights on a partition; should somebody get them, its rows stay hidden.
    EXECUTE format('ALTER TABLE smarttab.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', tbl || '_default');
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The partitioned tables, with the column they are partitioned by.
CREATE FUNCTION smarttab.partitioned_tables() RETURNS TABLE (table_name text, id_column text) LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.relname::text, a.attname::text
    FROM pg_partitioned_table p
    JOIN pg_class c ON c.oid = p.partrelid
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0]
    WHERE c.relnamespace = 'smarttab'::regnamespace AND p.partstrat = 'r'
    ORDER BY c.relname
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Makes the partition of one UTC day: 'made', 'there' (already), or 'stray' when rows of the day are in DEFAULT: they
-- stay there, and so does that day. Writers wait for the moment of the attachment, 3 s at most.
CREATE FUNCTION smarttab.partition_make(tbl text, day date) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '3s'
AS $$
DECLARE
    col   text;
    part  text := tbl || '_' || to_char(day, 'YYYYMMDD');
    low   uuid := smarttab.uuid_floor(day);
    high  uuid := smarttab.uuid_floor(day + 1);
    stray boolean;
BEGIN
    SELECT t.id_column INTO col FROM smarttab.partitioned_tables() t WHERE t.table_name = tbl;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'table % is not partitioned', tbl;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('smarttab.partitions', 0));
    IF to_regclass('smarttab.' || quote_ident(part)) IS NOT NULL THEN
        RETURN 'there';
    END IF;
    EXECUTE format('SELECT EXISTS (SELECT FROM smarttab.%I WHERE %I >= %L AND %I < %L)', tbl, col, low, col, high) INTO stray;
    IF stray THEN
        RETURN 'stray';
    END IF;
    -- Made apart and attached: that locks the parent against other changes of its form only, not against its readers and
    -- writers.
    EXECUTE format('CREATE TABLE smarttab.%I (LIKE smarttab.%I INCLUDING ALL)', part, tbl);
    EXECUTE format('ALTER TABLE smarttab.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', part);
    EXECUTE format('ALTER TABLE smarttab.%I ATTACH PARTITION smarttab.%I FOR VALUES FROM (%L) TO (%L)', tbl, part, low, high);
    RETURN 'made';
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Drops a day of a table that has a retention, once it is over. False when there was none.
CREATE FUNCTION smarttab.partition_drop(tbl text, day date, today date) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '3s'
AS $$
DECLARE
    part text := tbl || '_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF NOT EXISTS (SELECT FROM smarttab.partition_retention r WHERE r.table_name = tbl AND day < today - r.retain_days) THEN
        RAISE EXCEPTION 'table % keeps its rows of %', tbl, day;
    END IF;
    IF to_regclass('smarttab.' || quote_ident(part)) IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE smarttab.%I', part);
    RETURN true;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- What there is to do on a day: partitions to make, today's and those of the days ahead, and to drop.
CREATE FUNCTION smarttab.partition_work(today date, ahead integer) RETURNS TABLE (action text, table_name text, day date)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
        SELECT 'make', t.table_name, today + n
        FROM smarttab.partitioned_tables() t, generate_series(0, ahead) n
        WHERE to_regclass('smarttab.' || quote_ident(t.table_name || '_' || to_char(today + n, 'YYYYMMDD'))) IS NULL
        ORDER BY today + n, t.table_name;
    RETURN QUERY
        SELECT 'drop', r.table_name, to_date(right(c.relname, 8), 'YYYYMMDD')
        FROM smarttab.partition_retention r
        JOIN pg_inherits i ON i.inhparent = to_regclass('smarttab.' || quote_ident(r.table_name))
        JOIN pg_class c ON c.oid = i.inhrelid
        WHERE right(c.relname, 8) ~ '^[0-9]{8}$' AND to_date(right(c.relname, 8), 'YYYYMMDD') < today - r.retain_days
        ORDER BY c.relname;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Rows in DEFAULT partitions, by table, counted up to 1000: an alarm when it grows.
CREATE FUNCTION smarttab.partition_strays() RETURNS TABLE (table_name text, strays bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    FOR table_name IN SELECT t.table_name FROM smarttab.partitioned_tables() t LOOP
        EXECUTE format('SELECT count(*) FROM (SELECT FROM smarttab.%I LIMIT 1000) s', table_name || '_default') INTO strays;
        RETURN NEXT;
    END LOOP;
END
$$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION smarttab.partition_default(text), smarttab.partition_make(text, date),
    smarttab.partition_drop(text, date, date), smarttab.partition_work(date, integer), smarttab.partition_strays() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION smarttab.partition_make(text, date), smarttab.partition_drop(text, date, date),
    smarttab.partition_work(date, integer), smarttab.partition_strays() TO svc_smarttab;
