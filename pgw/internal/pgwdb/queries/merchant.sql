-- name: PutMerchant :one
-- The row as it is now; applied says whether this version took effect.
WITH put AS (
    INSERT INTO pgw.merchants AS m (partner_id, mode, id, version, name, status, created_at, updated_at)
    VALUES (@partner_id, @mode, @id, @version, @name, @status, @now, @now)
    ON CONFLICT (partner_id, mode, id) DO UPDATE
    SET version = excluded.version, name = excluded.name, status = excluded.status, updated_at = excluded.updated_at
    WHERE m.version < excluded.version
    RETURNING 1
)
SELECT count(*) > 0 AS applied FROM put;

-- name: GetMerchant :one
SELECT * FROM pgw.merchants WHERE partner_id = @partner_id AND mode = @mode AND id = @id;

-- name: OnlyMerchant :many
-- At most two: enough to know whether there is exactly one.
SELECT id FROM pgw.merchants WHERE partner_id = @partner_id AND mode = @mode LIMIT 2;

-- name: PutStore :one
WITH put AS (
    INSERT INTO pgw.stores AS s (partner_id, mode, merchant_id, id, version, name, status, timezone, created_at, updated_at)
    VALUES (@partner_id, @mode, @merchant_id, @id, @version, @name, @status, @timezone, @now, @now)
    ON CONFLICT (partner_id, mode, merchant_id, id) DO UPDATE
    SET version = excluded.version, name = excluded.name, status = excluded.status, timezone = excluded.timezone,
        updated_at = excluded.updated_at
    WHERE s.version < excluded.version
    RETURNING 1
)
SELECT count(*) > 0 AS applied FROM put;

-- name: GetStore :one
SELECT * FROM pgw.stores WHERE partner_id = @partner_id AND mode = @mode AND merchant_id = @merchant_id AND id = @id;

-- name: PutProviderConfig :one
WITH put AS (
    INSERT INTO pgw.provider_configs AS c (partner_id, mode, merchant_id, store_id, provider, version, status, contract_id,
        provider_store_id, sealed, created_at, updated_at)
    VALUES (@partner_id, @mode, @merchant_id, @store_id, @provider, @version, @status, @contract_id, @provider_store_id, @sealed, @now, @now)
    ON CONFLICT (partner_id, mode, merchant_id, store_id, provider) DO UPDATE
    SET version = excluded.version, status = excluded.status, contract_id = excluded.contract_id,
        provider_store_id = excluded.provider_store_id, sealed = excluded.sealed, updated_at = excluded.updated_at
    WHERE c.version < excluded.version
    RETURNING 1
)
SELECT count(*) > 0 AS applied FROM put;

-- name: GetProviderConfig :one
SELECT * FROM pgw.provider_configs
WHERE partner_id = @partner_id AND mode = @mode AND merchant_id = @merchant_id AND store_id = @store_id AND provider = @provider;

-- name: StoreProviderConfig :one
-- What a store pays with: its own configuration, else its merchant's default. An inactive one of the store's own hides the default.
SELECT c.*, m.status AS merchant_status, s.status AS store_status, s.timezone
FROM pgw.stores s
JOIN pgw.merchants m ON m.partner_id = s.partner_id AND m.mode = s.mode AND m.id = s.merchant_id
JOIN pgw.provider_configs c ON c.partner_id = s.partner_id AND c.mode = s.mode AND c.merchant_id = s.merchant_id
    AND c.store_id IN (s.id, '') AND c.provider = @provider
WHERE s.partner_id = @partner_id AND s.mode = @mode AND s.merchant_id = @merchant_id AND s.id = @store_id
ORDER BY c.store_id DESC
LIMIT 1;
