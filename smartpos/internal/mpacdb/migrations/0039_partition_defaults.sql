-- +goose Up

-- Every partitioned table of svc-smarttab has its DEFAULT partition.
SELECT smarttab.partition_default(t.table_name) FROM smarttab.partitioned_tables() t;
