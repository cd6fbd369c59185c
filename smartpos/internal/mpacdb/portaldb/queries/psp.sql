-- name: InsertPSP :exec
INSERT INTO portal.psps (id, code, name, created_at, updated_at) VALUES (@id, @code, @name, @now, @now);

-- name: PSP :one
SELECT * FROM portal.psps WHERE id = @id;

-- name: LockPSP :one
SELECT * FROM portal.psps WHERE id = @id FOR UPDATE;

-- name: ListPSPs :many
SELECT * FROM portal.psps
WHERE (sqlc.narg(before)::uuid IS NULL OR id < sqlc.narg(before))
  AND (sqlc.narg(status)::text IS NULL OR status = sqlc.narg(status))
  AND (sqlc.narg(code)::text IS NULL OR lower(code) = lower(sqlc.narg(code)))
ORDER BY id DESC LIMIT @page_size;

-- name: UpdatePSP :exec
UPDATE portal.psps SET name = @name, status = @status, version = version + 1, updated_at = @now WHERE id = @id;
