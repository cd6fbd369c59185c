-- name: InsertProviderConfig :exec
INSERT INTO portal.provider_configs
    (id, psp_id, merchant_id, store_id, provider, contract_id, provider_store_id, credentials_sealed, credentials_set_at, status, created_at, updated_at)
VALUES (@id, @psp_id, @merchant_id, sqlc.narg(store_id), @provider, @contract_id, sqlc.narg(provider_store_id), @credentials_sealed, @now, @status, @now, @now);

-- name: ProviderConfig :one
SELECT * FROM portal.provider_configs WHERE id = @id;

-- name: ProviderConfigFor :one
SELECT * FROM portal.provider_configs
WHERE merchant_id = @merchant_id AND store_id IS NOT DISTINCT FROM sqlc.narg(store_id)::uuid AND provider = @provider;

-- name: LockProviderConfigFor :one
SELECT * FROM portal.provider_configs
WHERE merchant_id = @merchant_id AND store_id IS NOT DISTINCT FROM sqlc.narg(store_id)::uuid AND provider = @provider
FOR UPDATE;

-- name: ListProviderConfigs :many
SELECT * FROM portal.provider_configs
WHERE merchant_id = @merchant_id AND store_id IS NOT DISTINCT FROM sqlc.narg(store_id)::uuid
ORDER BY provider;

-- name: UpdateProviderConfig :exec
UPDATE portal.provider_configs
SET contract_id = @contract_id, provider_store_id = sqlc.narg(provider_store_id), credentials_sealed = @credentials_sealed,
    credentials_set_at = @credentials_set_at, status = @status, version = version + 1, updated_at = @now
WHERE id = @id;
