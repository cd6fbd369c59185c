-- name: CreatePartner :exec
INSERT INTO pgw.partners (id, name, cors_origins, created_at) VALUES (@id, @name, @cors_origins, @created_at);

-- name: Partner :one
SELECT * FROM pgw.partners WHERE id = @id;

-- name: CreateAPIKey :exec
INSERT INTO pgw.api_keys (api_key, partner_id, mode, form2_only, sealed_key, expires_at, created_at)
VALUES (@api_key, @partner_id, @mode, @form2_only, @sealed_key, sqlc.narg(expires_at), @created_at);

-- name: APIKey :one
SELECT * FROM pgw.api_keys WHERE api_key = @api_key;

-- name: RevokeAPIKey :execrows
UPDATE pgw.api_keys SET state = 'revoked', revoked_at = @revoked_at WHERE api_key = @api_key AND state = 'active';

-- name: IntentForToken :one
-- What checking a payment token, and a browser's question before it, needs to know.
SELECT i.partner_id, i.mode, i.merchant_id, i.token_hashes, i.finalized_at, p.cors_origins
FROM pgw.payment_intents i JOIN pgw.partners p ON p.id = i.partner_id
WHERE i.id = @id;
