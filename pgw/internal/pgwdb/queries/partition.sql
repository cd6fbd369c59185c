-- name: PartitionWork :many
SELECT action::text AS action, table_name::text AS table_name, day::date AS day FROM pgw.partition_work(@at::timestamptz, @ahead::integer);

-- name: PartitionMake :exec
SELECT pgw.partition_make(@table_name::text, @day::date);

-- name: PartitionDrop :exec
SELECT pgw.partition_drop(@table_name::text, @day::date);

-- name: PartitionStrays :many
SELECT table_name::text AS table_name, strays::bigint AS strays FROM pgw.partition_strays();
