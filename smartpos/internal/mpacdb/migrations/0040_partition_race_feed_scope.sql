-- +goose Up

-- Several tasks keep the partitions at once. What one has made while another waited for the lock is asked of the catalog by a
-- query: to_regclass answers from the session's own cache, which still holds the "no" of before the wait.
-- +goose StatementBegin
CREATE FUNCTION smarttab.partition_there(part text) RETURNS boolean LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    there boolean;
BEGIN
    EXECUTE 'SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = ''smarttab''::regnamespace AND relname = $1)' INTO there USING part;
    RETURN there;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION smarttab.partition_make(tbl text, day date) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
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
    IF smarttab.partition_there(part) THEN
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
CREATE OR REPLACE FUNCTION smarttab.partition_drop(tbl text, day date, today date) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '3s'
AS $$
DECLARE
    part text := tbl || '_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF NOT EXISTS (SELECT FROM smarttab.partition_retention r WHERE r.table_name = tbl AND day < today - r.retain_days) THEN
        RAISE EXCEPTION 'table % keeps its rows of %', tbl, day;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('smarttab.partitions', 0));
    IF NOT smarttab.partition_there(part) THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE smarttab.%I', part);
    RETURN true;
END
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION smarttab.partition_there(text) FROM PUBLIC;

-- The feed's cursor is no tenant's, and so nobody's who acts for one: only the feed's own job sees it.
ALTER TABLE smarttab.feed_cursor ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY feed ON smarttab.feed_cursor USING (mpac.scope_cross_tenant());

-- Moves the cursor past one event, for the holder of the lease; false for everybody else. It is called in the transaction of the
-- event's effect, which is its tenant's: the sight of the cursor begins and ends here. (A function's SET clause would say the same
-- shorter, but only a superuser may name such a setting there.)
-- +goose StatementBegin
CREATE FUNCTION smarttab.feed_step(of_shard integer, owner text, event text, made timestamptz, next text) RETURNS boolean LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    was  text := coalesce(current_setting('mpac.cross_tenant', true), '');
    held boolean;
BEGIN
    PERFORM set_config('mpac.cross_tenant', 'smarttab.feed', true);
    UPDATE smarttab.feed_cursor c
    SET applied_event = CASE WHEN next = '' THEN event ELSE '' END,
        after         = CASE WHEN next = '' THEN c.after ELSE next END,
        applied_until = greatest(c.applied_until, made),
        resyncing     = CASE WHEN next = '' THEN c.resyncing ELSE false END,
        updated_at    = now()
    WHERE c.shard = of_shard AND c.lease_owner = owner;
    held := FOUND;
    PERFORM set_config('mpac.cross_tenant', was, true);
    RETURN held;
END
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION smarttab.feed_step(integer, text, text, timestamptz, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION smarttab.feed_step(integer, text, text, timestamptz, text) TO svc_smarttab;
