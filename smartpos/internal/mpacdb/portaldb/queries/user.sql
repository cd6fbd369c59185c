-- name: InsertUser :exec
INSERT INTO portal.users (id, email, name, role, psp_id, merchant_id, store_id, created_at, updated_at)
VALUES (@id, @email, @name, @role, sqlc.narg(psp_id), sqlc.narg(merchant_id), sqlc.narg(store_id), @now, @now);

-- name: InsertUserCredentials :exec
INSERT INTO portal.user_credentials (user_id, password_hash, password_set_at) VALUES (@user_id, @password_hash, @now);

-- name: User :one
SELECT * FROM portal.users WHERE id = @id;

-- name: LockUser :one
SELECT * FROM portal.users WHERE id = @id FOR UPDATE;

-- name: ListUsers :many
SELECT * FROM portal.users
WHERE (sqlc.narg(before)::uuid IS NULL OR id < sqlc.narg(before))
  AND (sqlc.narg(psp_id)::uuid IS NULL OR psp_id = sqlc.narg(psp_id))
  AND (sqlc.narg(merchant_id)::uuid IS NULL OR merchant_id = sqlc.narg(merchant_id))
  AND (sqlc.narg(store_id)::uuid IS NULL OR store_id = sqlc.narg(store_id))
  AND (sqlc.narg(role)::text IS NULL OR role = sqlc.narg(role))
  AND (sqlc.narg(status)::text IS NULL OR status = sqlc.narg(status))
  AND (sqlc.narg(email)::text IS NULL OR email = sqlc.narg(email))
ORDER BY id DESC LIMIT @page_size;

-- name: UpdateUser :exec
UPDATE portal.users SET name = @name, role = @role, psp_id = sqlc.narg(psp_id), merchant_id = sqlc.narg(merchant_id),
    store_id = sqlc.narg(store_id), status = @status, version = version + 1, updated_at = @now
WHERE id = @id;

-- name: SetPassword :exec
UPDATE portal.user_credentials SET password_hash = @password_hash, password_set_at = @now WHERE user_id = @user_id;

-- name: PasswordHash :one
SELECT password_hash FROM portal.user_credentials WHERE user_id = @user_id;

-- name: UserForLogin :one
-- With the state of the tenants above: nobody signs in to a closed one.
SELECT sqlc.embed(u), c.password_hash, c.totp_confirmed_at,
    (coalesce(p.status, 'active') = 'active' AND coalesce(m.status, 'active') = 'active' AND coalesce(s.status, 'active') = 'active')::boolean AS tenant_active
FROM portal.users u JOIN portal.user_credentials c ON c.user_id = u.id
LEFT JOIN portal.psps p ON p.id = u.psp_id LEFT JOIN portal.merchants m ON m.id = u.merchant_id LEFT JOIN portal.stores s ON s.id = u.store_id
WHERE u.email = @email;

-- name: UserMaySignIn :one
SELECT (u.status = 'active' AND coalesce(p.status, 'active') = 'active' AND coalesce(m.status, 'active') = 'active' AND coalesce(s.status, 'active') = 'active')::boolean
FROM portal.users u
LEFT JOIN portal.psps p ON p.id = u.psp_id LEFT JOIN portal.merchants m ON m.id = u.merchant_id LEFT JOIN portal.stores s ON s.id = u.store_id
WHERE u.id = @id;

-- name: TOTPOf :one
SELECT totp_secret_sealed, totp_confirmed_at, totp_last_step FROM portal.user_credentials WHERE user_id = @user_id;

-- name: BeginTOTP :execrows
-- Only while there is no confirmed secret: a second factor is never replaced by whoever has the first.
UPDATE portal.user_credentials SET totp_secret_sealed = @secret_sealed, totp_last_step = 0
WHERE user_id = @user_id AND totp_confirmed_at IS NULL;

-- name: AcceptTOTP :execrows
-- The step must be newer than the last one accepted: of two at once with the same code, one finds no row.
UPDATE portal.user_credentials SET totp_last_step = @step, totp_confirmed_at = coalesce(totp_confirmed_at, @now::timestamptz)
WHERE user_id = @user_id AND totp_last_step < @step;

-- name: ClearTOTP :exec
UPDATE portal.user_credentials SET totp_secret_sealed = NULL, totp_confirmed_at = NULL, totp_last_step = 0 WHERE user_id = @user_id;

-- name: SeedTOTP :exec
UPDATE portal.user_credentials SET totp_secret_sealed = @secret_sealed, totp_confirmed_at = @now WHERE user_id = @user_id;
