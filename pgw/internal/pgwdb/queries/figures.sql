-- name: ReconOpenFigures :many
-- Open exceptions by kind and severity, and how many are past the time it allows. The grades are recon.Grade's; a test holds the two
-- together.
WITH graded AS (
    SELECT x.kind, x.created_at, CASE
            WHEN x.at_stake >= 100000 OR sqlc.arg(as_of)::timestamptz - x.occurred_at >= interval '120 hours' THEN 'critical'
            WHEN x.at_stake >= 10000 OR sqlc.arg(as_of)::timestamptz - x.occurred_at >= interval '72 hours' THEN 'high'
            WHEN x.at_stake >= 1000 OR sqlc.arg(as_of)::timestamptz - x.occurred_at >= interval '24 hours' THEN 'medium'
            ELSE 'low' END AS severity
    FROM pgw.recon_exceptions x WHERE x.status = 'open'
)
SELECT g.kind, g.severity::text AS severity, count(*) AS open, count(*) FILTER (WHERE g.created_at + CASE g.severity
        WHEN 'critical' THEN interval '24 hours' WHEN 'high' THEN interval '72 hours' WHEN 'medium' THEN interval '120 hours'
        ELSE interval '168 hours' END < sqlc.arg(as_of)::timestamptz) AS past_due
FROM graded g GROUP BY g.kind, g.severity;

-- name: ReconAtStake :many
SELECT x.provider, coalesce(x.gateway_currency, x.provider_currency, '')::text AS currency, sum(x.at_stake)::bigint AS at_stake
FROM pgw.recon_exceptions x WHERE x.status = 'open' GROUP BY 1, 2;

-- name: ReconRunsSince :many
-- Runs of the days from which @from_id is the first possible id.
SELECT r.provider, r.contract_id, r.day, r.status, r.started_at, r.finished_at, t.figures
FROM pgw.recon_runs r LEFT JOIN pgw.recon_results t ON t.run_id = r.id AND t.version = r.version
WHERE r.id >= @from_id ORDER BY r.day DESC, r.id DESC LIMIT 5000;

-- name: ReconContractsWithoutRun :many
-- Contracts that took or gave money on the day and have no complete run of it. The ids are the first possible of a run of the day and
-- one behind the last.
SELECT DISTINCT c.provider, c.contract_id FROM pgw.provider_configs c
WHERE c.provider = @provider
  AND NOT EXISTS (SELECT FROM pgw.recon_runs r WHERE r.provider = c.provider AND r.contract_id = c.contract_id AND r.day = sqlc.arg(day)::date
      AND r.id >= @from_id AND r.id < @until_id AND r.finished_at IS NOT NULL AND r.status IN ('matched', 'exceptions_open'))
  AND (EXISTS (SELECT FROM pgw.payment_attempts a WHERE a.provider = c.provider AND a.contract_id = c.contract_id
           AND a.provider_accepted_at >= @from_at AND a.provider_accepted_at < @until_at AND a.captured_amount > 0)
    OR EXISTS (SELECT FROM pgw.refunds r WHERE r.provider = c.provider AND r.contract_id = c.contract_id
           AND r.provider_accepted_at >= @from_at AND r.provider_accepted_at < @until_at AND r.status = 'succeeded'))
ORDER BY 1, 2;

-- name: ReconDaysMissing :many
-- Days that were seen without a complete run, the oldest first.
SELECT m.day FROM pgw.recon_days_missing m WHERE m.provider = @provider ORDER BY m.day;

-- name: ReconKeepDayMissing :exec
INSERT INTO pgw.recon_days_missing (provider, day, found_at) VALUES (@provider, sqlc.arg(day)::date, @at) ON CONFLICT DO NOTHING;

-- name: ReconDayDone :exec
DELETE FROM pgw.recon_days_missing WHERE provider = @provider AND day = sqlc.arg(day)::date;
