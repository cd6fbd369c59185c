-- name: StoreSettings :one
SELECT s.id, s.merchant_id, s.psp_id, s.name, s.timezone, (date_part('epoch', s.day_cutoff::time))::bigint AS day_cutoff_seconds,
       s.price_mode, s.currency, coalesce(s.address, '')::text AS address, coalesce(s.phone, '')::text AS phone,
       (s.status = 'active' AND m.status = 'active')::boolean AS active,
       m.name AS merchant_name, m.tax_rounding, coalesce(m.invoice_registration_number, '')::text AS registration_number
FROM portal.stores s
JOIN portal.merchants m ON m.id = s.merchant_id
WHERE s.id = $1;

-- name: MerchantTenant :one
SELECT id, psp_id FROM portal.merchants WHERE id = $1;

-- name: StoreTenant :one
SELECT id, merchant_id, psp_id FROM portal.stores WHERE id = $1;
