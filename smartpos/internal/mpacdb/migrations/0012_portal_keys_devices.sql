-- +goose Up
-- The keys that sign access tokens, and the terminals that ask for them.

-- A key is published, waits until every verifier can have it, signs, and stays published until the last token it signed is over.
-- Its state is its times held against the clock, so every task sees the same at the same instant.
CREATE TABLE portal.signing_keys (
    kid             text PRIMARY KEY,
    kind            text NOT NULL CHECK (kind IN ('human', 'device')),
    public_jwk      jsonb NOT NULL,
    private_sealed  bytea NOT NULL,
    created_at      timestamptz NOT NULL,
    signs_from      timestamptz NOT NULL,
    -- Both NULL for the newest key.
    signs_until     timestamptz,
    published_until timestamptz,
    CHECK (signs_from >= created_at AND signs_until >= signs_from AND published_until > signs_until),
    CHECK ((signs_until IS NULL) = (published_until IS NULL))
);
-- One newest key a kind: two tasks that rotate at once cannot both win.
CREATE UNIQUE INDEX signing_keys_newest ON portal.signing_keys (kind) WHERE signs_until IS NULL;

CREATE TABLE portal.terminals (
    id            uuid PRIMARY KEY,
    psp_id        uuid NOT NULL,
    merchant_id   uuid NOT NULL,
    store_id      uuid NOT NULL,
    -- Receipt and order numbers made on the terminal carry it: small, never given to another terminal of the store.
    number        integer NOT NULL CHECK (number > 0),
    serial_number text NOT NULL CHECK (serial_number ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
    model         text NOT NULL CHECK (length(model) BETWEEN 1 AND 100),
    name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    asset_status  text NOT NULL DEFAULT 'in_stock'
                  CHECK (asset_status IN ('in_stock', 'shipped', 'active', 'suspended', 'lost', 'decommissioned')),
    -- From activation on: the OAuth client and the public half of the key pair that the terminal made.
    client_id     text CONSTRAINT terminals_client_key UNIQUE,
    public_key    jsonb,
    activated_at  timestamptz,
    version       bigint NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    FOREIGN KEY (store_id, merchant_id, psp_id) REFERENCES portal.stores (id, merchant_id, psp_id),
    CONSTRAINT terminals_serial_key UNIQUE (psp_id, serial_number),
    CONSTRAINT terminals_number_key UNIQUE (store_id, number),
    CONSTRAINT terminals_tenant_key UNIQUE (id, store_id, merchant_id, psp_id),
    CHECK ((client_id IS NULL) = (public_key IS NULL) AND (client_id IS NULL) = (activated_at IS NULL)),
    CHECK (asset_status NOT IN ('active', 'suspended') OR client_id IS NOT NULL)
);
CREATE INDEX terminals_by_tenant ON portal.terminals (psp_id, merchant_id, store_id, id);

CREATE TABLE portal.activation_codes (
    -- argon2id of the code: its forty bits would not survive a quick hash.
    code_hash   bytea PRIMARY KEY,
    terminal_id uuid NOT NULL REFERENCES portal.terminals (id),
    created_at  timestamptz NOT NULL,
    created_by  text NOT NULL,
    expires_at  timestamptz NOT NULL,
    used_at     timestamptz,
    -- A newer code of the same terminal took its place.
    revoked_at  timestamptz
);
CREATE INDEX activation_codes_by_terminal ON portal.activation_codes (terminal_id);
CREATE INDEX activation_codes_by_expiry ON portal.activation_codes (expires_at);

-- Client assertions that were accepted: each is good once, on whichever task it is shown. Kept until they would have expired.
CREATE TABLE portal.client_assertions (
    client_id  text NOT NULL,
    jti        text NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (client_id, jti)
);
CREATE INDEX client_assertions_by_expiry ON portal.client_assertions (expires_at);

ALTER TABLE portal.signing_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE portal.signing_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY jobs_only ON portal.signing_keys USING (mpac.scope_cross_tenant());
ALTER TABLE portal.terminals ENABLE ROW LEVEL SECURITY;
ALTER TABLE portal.terminals FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON portal.terminals USING (mpac.tenant_visible(psp_id, merchant_id, store_id));
ALTER TABLE portal.activation_codes ENABLE ROW LEVEL SECURITY;
ALTER TABLE portal.activation_codes FORCE ROW LEVEL SECURITY;
CREATE POLICY of_terminal ON portal.activation_codes USING (EXISTS (SELECT FROM portal.terminals t WHERE t.id = terminal_id));
ALTER TABLE portal.client_assertions ENABLE ROW LEVEL SECURITY;
ALTER TABLE portal.client_assertions FORCE ROW LEVEL SECURITY;
CREATE POLICY jobs_only ON portal.client_assertions USING (mpac.scope_cross_tenant());

GRANT SELECT, INSERT, UPDATE ON portal.signing_keys, portal.terminals TO svc_portal;
GRANT SELECT, INSERT, UPDATE, DELETE ON portal.activation_codes, portal.client_assertions TO svc_portal;
-- A terminal's public state. Its key and its client id are svc-portal's affair.
GRANT SELECT (id, psp_id, merchant_id, store_id, number, serial_number, model, name, asset_status, activated_at, version, created_at, updated_at),
      REFERENCES (id, store_id, merchant_id, psp_id) ON portal.terminals TO svc_smarttab;
