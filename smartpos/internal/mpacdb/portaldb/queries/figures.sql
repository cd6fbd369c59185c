-- name: TerminalFigures :many
SELECT asset_status, count(*) AS terminals FROM portal.terminals GROUP BY asset_status;

-- name: ConnectedTerminals :one
-- Terminals whose last accepted assertion expired after @since, or has yet to.
SELECT count(DISTINCT client_id) FROM portal.client_assertions WHERE expires_at > sqlc.arg(since)::timestamptz;

-- name: TenantFigures :one
SELECT (SELECT count(*) FROM portal.psps WHERE status = 'active') AS psps,
    (SELECT count(*) FROM portal.merchants WHERE status = 'active') AS merchants,
    (SELECT count(*) FROM portal.stores WHERE status = 'active') AS stores;

-- name: SigningKeysInUse :many
-- Since when the key signs that signs at @at, by kind.
SELECT kind, max(signs_from)::timestamptz AS signs_from FROM portal.signing_keys WHERE signs_from <= sqlc.arg(as_of)::timestamptz GROUP BY kind;
