-- name: InsertAudit :exec
INSERT INTO portal.audit_log (id, at, psp_id, merchant_id, store_id, actor_kind, actor, impersonated_by, action, entity, entity_id,
    before, after, ip, user_agent, request_id)
VALUES (@id, @at, sqlc.narg(psp_id), sqlc.narg(merchant_id), sqlc.narg(store_id), @actor_kind, @actor, sqlc.narg(impersonated_by), @action, @entity, @entity_id,
    sqlc.narg(before), sqlc.narg(after), @ip, @user_agent, @request_id);

-- name: ListAudit :many
SELECT * FROM portal.audit_log
WHERE (sqlc.narg(before_id)::uuid IS NULL OR id < sqlc.narg(before_id))
  AND (sqlc.narg(from_id)::uuid IS NULL OR id >= sqlc.narg(from_id))
  AND (sqlc.narg(to_id)::uuid IS NULL OR id < sqlc.narg(to_id))
  AND (sqlc.narg(actor)::text IS NULL OR actor = sqlc.narg(actor))
  AND (sqlc.narg(action)::text IS NULL OR action = sqlc.narg(action))
  AND (sqlc.narg(entity)::text IS NULL OR entity = sqlc.narg(entity))
  AND (sqlc.narg(entity_id)::text IS NULL OR entity_id = sqlc.narg(entity_id))
  AND (sqlc.narg(merchant_id)::uuid IS NULL OR merchant_id = sqlc.narg(merchant_id))
  AND (sqlc.narg(store_id)::uuid IS NULL OR store_id = sqlc.narg(store_id))
ORDER BY id DESC LIMIT @page_size;

-- name: MakeAuditPartition :one
SELECT portal.make_audit_partition(@at::timestamptz)::boolean;
