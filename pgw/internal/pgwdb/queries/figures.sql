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
