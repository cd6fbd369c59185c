-- name: DeleteExpiredAssertions :execrows
DELETE FROM portal.client_assertions a
USING (SELECT e.client_id, e.jti FROM portal.client_assertions e WHERE e.expires_at < @before LIMIT 5000) d
WHERE a.client_id = d.client_id AND a.jti = d.jti;

-- name: DeleteExpiredRefreshTokens :execrows
DELETE FROM portal.refresh_tokens WHERE token_hash = ANY(ARRAY(SELECT t.token_hash FROM portal.refresh_tokens t WHERE t.expires_at < @before LIMIT 5000));

-- name: DeleteExpiredChallenges :execrows
DELETE FROM portal.mfa_challenges WHERE expires_at < @before;

-- name: DeleteExpiredKnownDevices :execrows
DELETE FROM portal.known_devices WHERE expires_at < @before;

-- name: DeleteOldLoginFailures :execrows
DELETE FROM portal.login_failures WHERE last_at < @before;

-- name: DeleteExpiredActivationCodes :execrows
DELETE FROM portal.activation_codes WHERE expires_at < @before;

-- name: DeleteDoneOutbox :execrows
DELETE FROM portal.sync_outbox WHERE id = ANY(ARRAY(SELECT o.id FROM portal.sync_outbox o WHERE o.done_at < @before LIMIT 5000));
