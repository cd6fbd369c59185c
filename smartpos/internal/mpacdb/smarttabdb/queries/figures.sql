-- name: OpenPayments :many
-- Payments that began before @begun_before and have not ended, by method.
SELECT method, count(*) AS open FROM smarttab.payment
WHERE status IN ('pending', 'processing') AND created_at < sqlc.arg(begun_before)::timestamptz GROUP BY method;

-- name: OverdueSettlements :one
-- Business days that ended before @ended_before, by their stores' own clocks and cut-offs, and are not closed.
SELECT count(*) FROM smarttab.settlement s JOIN portal.stores st ON st.id = s.store_id
WHERE s.status = 'open' AND s.corrects_id IS NULL
  AND (s.business_day + 1 + st.day_cutoff::time) AT TIME ZONE st.timezone < sqlc.arg(ended_before)::timestamptz;
