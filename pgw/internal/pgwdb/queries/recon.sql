-- name: LockAuditHead :one
-- Takes the chain's end, and makes it when there is none. The update locks it until the transaction ends.
INSERT INTO pgw.recon_audit_heads AS h (partner_id, mode, number, hash) VALUES (@partner_id, @mode, 0, @hash)
ON CONFLICT (partner_id, mode) DO UPDATE SET number = h.number
RETURNING *;

-- name: AppendAudit :exec
WITH entry AS (
    INSERT INTO pgw.recon_audit (partner_id, mode, number, at, actor_id, actor_name, actor_role, action, subject, detail, previous, hash)
    VALUES (@partner_id, @mode, @number, @at, @actor_id, @actor_name, @actor_role, @action, @subject, @detail, @previous, @hash)
    RETURNING partner_id, mode, number, hash
)
UPDATE pgw.recon_audit_heads h SET number = e.number, hash = e.hash
FROM entry e WHERE h.partner_id = e.partner_id AND h.mode = e.mode;

-- name: AuditHeads :many
SELECT * FROM pgw.recon_audit_heads ORDER BY partner_id, mode;

-- name: ListAudit :many
SELECT * FROM pgw.recon_audit WHERE partner_id = @partner_id AND mode = @mode AND number > @after ORDER BY number LIMIT sqlc.arg(max_rows)::int;

-- name: ReconRun :one
SELECT * FROM pgw.recon_runs WHERE id = @id;

-- name: ListReconRuns :many
-- By day, the newest first; the cursor is the last one's day and id.
SELECT * FROM pgw.recon_runs
WHERE (sqlc.narg(day)::date IS NULL OR day = sqlc.narg(day))
  AND (@provider::text = '' OR provider = @provider) AND (@contract_id::text = '' OR contract_id = @contract_id)
  AND (@status::text = '' OR status = @status)
  AND (sqlc.narg(after_day)::date IS NULL OR (day, id) < (sqlc.narg(after_day)::date, @after_id::text))
ORDER BY day DESC, id DESC LIMIT sqlc.arg(max_rows)::int;

-- name: ReconResult :one
SELECT * FROM pgw.recon_results WHERE run_id = @run_id AND version = @version;

-- name: ReconFiles :many
SELECT * FROM pgw.recon_files WHERE run_id = @run_id ORDER BY version;

-- name: ReconFindings :many
SELECT * FROM pgw.recon_findings WHERE run_id = @run_id AND version = @version AND number > @after ORDER BY number LIMIT sqlc.arg(max_rows)::int;

-- name: ListReconMatches :many
SELECT * FROM pgw.recon_matches
WHERE run_id = @run_id AND withdrawn_version IS NULL AND id > @after::text ORDER BY id LIMIT sqlc.arg(max_rows)::int;

-- name: ReconException :one
SELECT * FROM pgw.recon_exceptions WHERE id = @id;

-- name: ListReconExceptions :many
SELECT * FROM pgw.recon_exceptions
WHERE (@status::text = '' OR status = @status) AND (@kind::text = '' OR kind = @kind)
  AND (@provider::text = '' OR provider = @provider) AND (@contract_id::text = '' OR contract_id = @contract_id)
  AND (sqlc.narg(opened_day)::date IS NULL OR opened_day = sqlc.narg(opened_day))
  AND (@payment_intent_id::text = '' OR payment_intent_id = @payment_intent_id)
  AND id > @after::text
ORDER BY id LIMIT sqlc.arg(max_rows)::int;

-- name: ReconHolders :many
-- Who has the contract with the provider, by configuration or by earlier runs. The first partner is asked about lines that nobody
-- knows.
SELECT c.partner_id, c.mode FROM pgw.provider_configs c WHERE c.provider = @provider AND c.contract_id = @contract_id
UNION
SELECT r.partner_id, r.mode FROM pgw.recon_runs r WHERE r.provider = @provider AND r.contract_id = @contract_id
ORDER BY 1, 2;

-- name: ReconActiveContracts :many
-- Contracts that took or gave money in the window: each of them needs a file.
SELECT DISTINCT c.provider, c.contract_id FROM pgw.provider_configs c
WHERE (@provider::text = '' OR c.provider = @provider)
  AND (EXISTS (SELECT FROM pgw.payment_attempts a WHERE a.provider = c.provider AND a.contract_id = c.contract_id
           AND a.provider_accepted_at >= @from_at AND a.provider_accepted_at < @until_at AND a.captured_amount > 0)
    OR EXISTS (SELECT FROM pgw.refunds r WHERE r.provider = c.provider AND r.contract_id = c.contract_id
           AND r.provider_accepted_at >= @from_at AND r.provider_accepted_at < @until_at AND r.status = 'succeeded'))
ORDER BY 1, 2;

-- name: ReconTryLock :one
-- Of the session, not of the transaction: it is held until the connection ends.
SELECT pg_try_advisory_lock(hashtextextended('pgw.recon:' || @scope::text, 0)) AS locked;

-- name: ReconUnlock :exec
SELECT pg_advisory_unlock(hashtextextended('pgw.recon:' || @scope::text, 0));

-- name: BeginReconRun :one
INSERT INTO pgw.recon_runs AS r (id, partner_id, mode, provider, contract_id, day, status, stage, tries, started_at, updated_at)
VALUES (@id, @partner_id, @mode, @provider, @contract_id, @day, 'running', 'fetch', 1, @now, @now)
ON CONFLICT (id) DO UPDATE SET status = 'running', stage = 'fetch', error = NULL, tries = r.tries + 1, started_at = @now, updated_at = @now,
    finished_at = NULL
RETURNING *;

-- name: ReconRunStage :exec
UPDATE pgw.recon_runs SET stage = @stage, updated_at = @now WHERE id = @id;

-- name: BeginReconVersion :exec
UPDATE pgw.recon_runs SET writing = version + 1, stage = 'post', updated_at = @now WHERE id = @id;

-- name: FailReconRun :exec
UPDATE pgw.recon_runs SET status = 'failed', error = @error, updated_at = @now, finished_at = @now WHERE id = @id;

-- name: EndReconRun :exec
UPDATE pgw.recon_runs SET status = @status, version = @version, writing = NULL, stage = 'done', updated_at = @now, finished_at = @now WHERE id = @id;

-- name: KeepReconFile :one
-- The file's row, made when its content is new for the run.
WITH made AS (
    INSERT INTO pgw.recon_files (run_id, sha256, partner_id, mode, version, name, bytes, location, received_at, received_by)
    SELECT @run_id::text, @sha256::text, @partner_id::text, @mode::text, coalesce(max(f.version), 0) + 1, @name::text, @bytes::bigint,
        @location::text, @received_at::timestamptz, @received_by::text
    FROM pgw.recon_files f WHERE f.run_id = @run_id::text
    ON CONFLICT (run_id, sha256) DO NOTHING
    RETURNING version
)
SELECT version, true AS made FROM made
UNION ALL
SELECT version, false FROM pgw.recon_files WHERE run_id = @run_id::text AND sha256 = @sha256::text AND NOT EXISTS (SELECT FROM made)
LIMIT 1;

-- name: LastReconResult :one
-- Of the contract, whatever day.
SELECT t.open_after FROM pgw.recon_results t JOIN pgw.recon_runs r ON r.id = t.run_id
WHERE r.partner_id = @partner_id AND r.mode = @mode AND r.provider = @provider AND r.contract_id = @contract_id
ORDER BY t.completion DESC LIMIT 1;

-- name: CountOpenExceptions :one
SELECT count(*) FROM pgw.recon_exceptions
WHERE partner_id = @partner_id AND mode = @mode AND provider = @provider AND contract_id = @contract_id AND status = 'open';

-- name: WriteReconResult :exec
INSERT INTO pgw.recon_results (run_id, version, partner_id, mode, file_sha256, open_after, figures, completed_at)
VALUES (@run_id, @version, @partner_id, @mode, @file_sha256, @open_after, @figures, @completed_at);
