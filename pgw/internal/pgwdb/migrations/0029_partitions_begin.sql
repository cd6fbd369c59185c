-- +goose Up
SELECT set_config('mpac.cross_tenant', 'migration', true);

-- Intents and attempts stay; kept answers and signatures are asked for during a day, and stay two more for those who look into a dispute.
INSERT INTO pgw.partitioned_tables (table_name, id_column, id_prefix, retain_days) VALUES
    ('payment_intents', 'id', 'pi', NULL), ('payment_attempts', 'id', 'pa', NULL),
    ('idempotency_keys', 'id', 'ik', 3), ('request_signatures', 'id', 'sg', 3);

-- The first days; the gateway goes on from here while it runs.
SELECT pgw.partition_make(w.table_name, w.day) FROM pgw.partition_work(now(), 1) w WHERE w.action = 'make';
