-- name: InsertSigningKey :exec
INSERT INTO portal.signing_keys (kid, kind, public_jwk, private_sealed, created_at, signs_from)
VALUES (@kid, @kind, @public_jwk, @private_sealed, @now, @signs_from);

-- name: SigningKeys :many
-- All that are published now or will be needed: a key in waiting is published too.
SELECT * FROM portal.signing_keys WHERE kind = @kind AND (published_until IS NULL OR published_until > @now::timestamptz) ORDER BY signs_from, kid;

-- name: LockSigningKeys :exec
SELECT pg_advisory_xact_lock(hashtextextended('portal.signing_keys.' || @kind::text, 0));

-- name: EndSigningKey :exec
UPDATE portal.signing_keys SET signs_until = @signs_until, published_until = @published_until WHERE kid = @kid AND signs_until IS NULL;
