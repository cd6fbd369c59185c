-- +goose Up
-- Tenants: PSP -> merchant -> store, and the provider credentials of a merchant or a store. Deactivated, never deleted.
--
-- A row carries the ids of all the tenants above it, held together by composite foreign keys, so that its policy is a comparison
-- and needs no join.

-- What a scope may see of a row that belongs to (psp, merchant, store). A scope bound at some level sees the rows of that
-- tenant and beneath it; one that is bound nowhere sees nothing, unless it is the platform's or a named job's.
CREATE FUNCTION mpac.tenant_visible(psp uuid, merchant uuid, store uuid) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT mpac.scope_cross_tenant()
          OR (mpac.scope_platform()
              OR mpac.scope_psp() IS NOT NULL OR mpac.scope_merchant() IS NOT NULL OR mpac.scope_store() IS NOT NULL)
         AND (mpac.scope_psp() IS NULL OR psp = mpac.scope_psp())
         AND (mpac.scope_merchant() IS NULL OR merchant = mpac.scope_merchant())
         AND (mpac.scope_store() IS NULL OR store = mpac.scope_store()) $$;

-- The tenants above a store are visible from inside it: a terminal needs its merchant's settings.
CREATE FUNCTION mpac.merchant_visible(psp uuid, merchant uuid) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT mpac.scope_cross_tenant()
          OR (mpac.scope_platform() OR mpac.scope_psp() IS NOT NULL OR mpac.scope_merchant() IS NOT NULL)
         AND (mpac.scope_psp() IS NULL OR psp = mpac.scope_psp())
         AND (mpac.scope_merchant() IS NULL OR merchant = mpac.scope_merchant()) $$;

CREATE FUNCTION mpac.psp_visible(psp uuid) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT mpac.scope_cross_tenant()
          OR (mpac.scope_platform() OR mpac.scope_psp() IS NOT NULL)
         AND (mpac.scope_psp() IS NULL OR psp = mpac.scope_psp()) $$;

CREATE TABLE portal.psps (
    id          uuid PRIMARY KEY,
    code        text NOT NULL CHECK (code ~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$'),
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    status      text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive')),
    version     bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL
);

CREATE TABLE portal.merchants (
    id          uuid PRIMARY KEY,
    psp_id      uuid NOT NULL REFERENCES portal.psps (id),
    code        text NOT NULL CHECK (code ~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$'),
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    -- T and 13 digits, the first of which is the check digit of the rest (National Tax Agency).
    invoice_registration_number text CHECK (invoice_registration_number ~ '^T[0-9]{13}$'),
    tax_rounding text NOT NULL DEFAULT 'floor' CHECK (tax_rounding IN ('floor', 'half_up', 'ceil')),
    status      text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive')),
    version     bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    CONSTRAINT merchants_tenant_key UNIQUE (id, psp_id)
);

CREATE TABLE portal.stores (
    id          uuid PRIMARY KEY,
    psp_id      uuid NOT NULL,
    merchant_id uuid NOT NULL,
    code        text NOT NULL CHECK (code ~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$'),
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    timezone    text NOT NULL DEFAULT 'Asia/Tokyo',
    -- The store's local time at which one business day ends and the next begins.
    day_cutoff  text NOT NULL DEFAULT '05:00' CHECK (day_cutoff ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$'),
    price_mode  text NOT NULL DEFAULT 'inclusive' CHECK (price_mode IN ('inclusive', 'exclusive')),
    currency    text NOT NULL DEFAULT 'JPY' CHECK (currency ~ '^[A-Z]{3}$'),
    address     text CHECK (length(address) <= 500),
    phone       text CHECK (length(phone) <= 40),
    status      text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive')),
    version     bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    FOREIGN KEY (merchant_id, psp_id) REFERENCES portal.merchants (id, psp_id),
    CONSTRAINT stores_tenant_key UNIQUE (id, merchant_id, psp_id)
);
-- Codes are what people type and print: they are one code in either case, kept as first typed.
CREATE UNIQUE INDEX psps_code_key ON portal.psps (lower(code));
CREATE UNIQUE INDEX merchants_code_key ON portal.merchants (psp_id, lower(code));
CREATE UNIQUE INDEX stores_code_key ON portal.stores (merchant_id, lower(code));
CREATE INDEX stores_by_psp ON portal.stores (psp_id, id);

-- A provider's credentials for a store; without a store, the merchant's default that stands behind its stores.
CREATE TABLE portal.provider_configs (
    id          uuid PRIMARY KEY,
    psp_id      uuid NOT NULL,
    merchant_id uuid NOT NULL,
    store_id    uuid,
    provider    text NOT NULL CHECK (provider ~ '^[a-z][a-z0-9_]{1,31}$'),
    -- The provider's own name of the contract (PayPay: merchant id). Not a secret.
    contract_id text NOT NULL CHECK (length(contract_id) BETWEEN 1 AND 200),
    -- The provider's own id of the store; NULL: our store id is used.
    provider_store_id text CHECK (length(provider_store_id) BETWEEN 1 AND 200),
    credentials_sealed bytea NOT NULL,
    credentials_set_at timestamptz NOT NULL,
    status      text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive')),
    version     bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    FOREIGN KEY (merchant_id, psp_id) REFERENCES portal.merchants (id, psp_id),
    FOREIGN KEY (store_id, merchant_id, psp_id) REFERENCES portal.stores (id, merchant_id, psp_id),
    CONSTRAINT provider_configs_key UNIQUE NULLS NOT DISTINCT (merchant_id, store_id, provider)
);

ALTER TABLE portal.psps ENABLE ROW LEVEL SECURITY;
ALTER TABLE portal.psps FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON portal.psps USING (mpac.psp_visible(id));
ALTER TABLE portal.merchants ENABLE ROW LEVEL SECURITY;
ALTER TABLE portal.merchants FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON portal.merchants USING (mpac.merchant_visible(psp_id, id));
-- Whoever is bound to a store sees its merchant and cannot change it.
CREATE POLICY not_from_a_store ON portal.merchants AS RESTRICTIVE FOR UPDATE USING (mpac.scope_store() IS NULL);
ALTER TABLE portal.stores ENABLE ROW LEVEL SECURITY;
ALTER TABLE portal.stores FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON portal.stores USING (mpac.tenant_visible(psp_id, merchant_id, id));
ALTER TABLE portal.provider_configs ENABLE ROW LEVEL SECURITY;
ALTER TABLE portal.provider_configs FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON portal.provider_configs USING (mpac.tenant_visible(psp_id, merchant_id, store_id));

GRANT SELECT, INSERT, UPDATE ON portal.psps, portal.merchants, portal.stores, portal.provider_configs TO svc_portal;
-- svc-smarttab reads the settings it works by, and refers to merchants and stores. It has no business with credentials.
GRANT SELECT, REFERENCES ON portal.merchants, portal.stores TO svc_smarttab;
