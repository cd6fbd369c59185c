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
