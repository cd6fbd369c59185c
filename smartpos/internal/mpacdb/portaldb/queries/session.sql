-- name: InsertSession :exec
INSERT INTO portal.sessions (id, user_id, created_at, last_used_at, expires_at, ip, user_agent)
VALUES (@id, @user_id, @now, @now, @expires_at, @ip, @user_agent);

-- name: ListSessions :many
SELECT * FROM portal.sessions
WHERE user_id = @user_id AND ended_at IS NULL AND expires_at > @now
  AND (sqlc.narg(before)::uuid IS NULL OR id < sqlc.narg(before))
ORDER BY id DESC LIMIT @page_size;

-- name: EndSession :one
UPDATE portal.sessions SET ended_at = @now, end_reason = @reason WHERE id = @id AND user_id = @user_id AND ended_at IS NULL RETURNING *;

-- name: EndSessionsOfUser :execrows
UPDATE portal.sessions SET ended_at = @now, end_reason = @reason WHERE user_id = @user_id AND ended_at IS NULL;

-- name: TouchSession :exec
UPDATE portal.sessions SET last_used_at = @now WHERE id = @id;

-- name: InsertRefreshToken :exec
INSERT INTO portal.refresh_tokens (token_hash, session_id, issued_at, expires_at) VALUES (@token_hash, @session_id, @now, @expires_at);

-- name: LockRefreshToken :one
-- With its session and user. The row's lock makes one of two at once the first.
SELECT t.used_at, t.expires_at, sqlc.embed(s), sqlc.embed(u)
FROM portal.refresh_tokens t JOIN portal.sessions s ON s.id = t.session_id JOIN portal.users u ON u.id = s.user_id
WHERE t.token_hash = @token_hash
FOR UPDATE OF t, s;

-- name: UseRefreshToken :exec
UPDATE portal.refresh_tokens SET used_at = @now WHERE token_hash = @token_hash;

-- name: InsertChallenge :exec
INSERT INTO portal.mfa_challenges (token_hash, user_id, created_at, expires_at) VALUES (@token_hash, @user_id, @now, @expires_at);

-- name: LockChallenge :one
SELECT sqlc.embed(c), sqlc.embed(u)
FROM portal.mfa_challenges c JOIN portal.users u ON u.id = c.user_id
WHERE c.token_hash = @token_hash
FOR UPDATE OF c;

-- name: FailChallenge :exec
UPDATE portal.mfa_challenges SET failures = failures + 1 WHERE token_hash = @token_hash;

-- name: UseChallenge :execrows
UPDATE portal.mfa_challenges SET used_at = @now WHERE token_hash = @token_hash AND used_at IS NULL;

-- name: InsertKnownDevice :exec
INSERT INTO portal.known_devices (token_hash, user_id, created_at, expires_at) VALUES (@token_hash, @user_id, @now, @expires_at);

-- name: KnownDevice :one
SELECT EXISTS (
    SELECT FROM portal.known_devices d JOIN portal.users u ON u.id = d.user_id
    WHERE d.token_hash = @token_hash AND u.email = @email AND d.expires_at > @now::timestamptz);

-- name: LoginFailures :many
SELECT * FROM portal.login_failures WHERE account_hash = @account_hash AND source = ANY(@sources::text[]);

-- name: LockAccount :exec
-- One attempt on an account at a time is judged and counted; accounts that do not exist are locked just so.
SELECT pg_advisory_xact_lock(hashtextextended(@account::text, 0));

-- name: PutLoginFailure :exec
INSERT INTO portal.login_failures (account_hash, source, failures, last_at, locked_until)
VALUES (@account_hash, @source, @failures, @last_at, sqlc.narg(locked_until))
ON CONFLICT (account_hash, source) DO UPDATE SET failures = excluded.failures, last_at = excluded.last_at, locked_until = excluded.locked_until;

-- name: ForgetLoginFailures :exec
DELETE FROM portal.login_failures WHERE account_hash = @account_hash AND source = ANY(@sources::text[]);

-- name: EndOtherSessions :exec
UPDATE portal.sessions SET ended_at = @now, end_reason = @reason WHERE user_id = @user_id AND id <> @keep AND ended_at IS NULL;
