-- +goose Up

-- Who counts the rows in DEFAULT partitions is their owner, whom row-level security binds too: without a policy the count was
-- always none. Services have no right on a partition; this is for the counting function alone.
-- +goose StatementBegin
DO $$
DECLARE
    tbl text;
BEGIN
    FOR tbl IN SELECT t.table_name FROM smarttab.partitioned_tables() t LOOP
        EXECUTE format('CREATE POLICY jobs_only ON smarttab.%I USING (mpac.scope_cross_tenant())', tbl || '_default');
    END LOOP;
END
$$;
-- +goose StatementEnd
