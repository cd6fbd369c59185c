-- +goose Up
-- What the partner's source of truth (svc-portal, for smartpos) says of merchants, stores and their providers. Ids are the
-- partner's own. Each row carries the partner's version: an older one never overwrites a newer.

CREATE TABLE pgw.merchants (
    partner_id text NOT NULL,
    mode       text NOT NULL CHECK (mode IN ('test', 'live')),
    id         text NOT NULL CHECK (length(id) BETWEEN 1 AND 64),
    version    bigint NOT NULL CHECK (version > 0),
    name       text NOT NULL,
    status     text NOT NULL CHECK (status IN ('active', 'inactive')),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (partner_id, mode, id)
);

CREATE TABLE pgw.stores (
    partner_id  text NOT NULL,
    mode        text NOT NULL CHECK (mode IN ('test', 'live')),
    merchant_id text NOT NULL,
    id          text NOT NULL CHECK (length(id) BETWEEN 1 AND 64),
    version     bigint NOT NULL CHECK (version > 0),
    name        text NOT NULL,
    status      text NOT NULL CHECK (status IN ('active', 'inactive')),
    timezone    text NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (partner_id, mode, merchant_id, id),
    FOREIGN KEY (partner_id, mode, merchant_id) REFERENCES pgw.merchants
);

CREATE TABLE pgw.provider_configs (
    partner_id        text NOT NULL,
    mode              text NOT NULL CHECK (mode IN ('test', 'live')),
    merchant_id       text NOT NULL,
    -- Empty: the merchant's default, which stands behind its stores'.
    store_id          text NOT NULL DEFAULT '',
    provider          text NOT NULL,
    version           bigint NOT NULL CHECK (version > 0),
    status            text NOT NULL CHECK (status IN ('active', 'inactive')),
    -- The provider's name for the merchant. No secret.
    contract_id       text NOT NULL,
    -- The provider's name for the store; empty: ours.
    provider_store_id text NOT NULL DEFAULT '',
    -- The credentials, sealed for this row: they open nowhere else.
    sealed            bytea NOT NULL,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    PRIMARY KEY (partner_id, mode, merchant_id, store_id, provider),
    FOREIGN KEY (partner_id, mode, merchant_id) REFERENCES pgw.merchants
);
-- Which contracts a provider's file may belong to.
CREATE INDEX provider_configs_contract ON pgw.provider_configs (provider, contract_id);

-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['merchants', 'stores', 'provider_configs'] LOOP
        EXECUTE format('ALTER TABLE pgw.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE pgw.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON pgw.%I USING (pgw.visible(partner_id, mode))', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON pgw.%I TO pgw_backend', name);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- The matcher needs to know contracts and stores, and never a credential.
GRANT SELECT ON pgw.merchants, pgw.stores TO matcher;
GRANT SELECT (partner_id, mode, merchant_id, store_id, provider, version, status, contract_id, provider_store_id) ON pgw.provider_configs TO matcher;
