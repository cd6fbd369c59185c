-- +goose Up
-- Client partners: who holds API keys. smartpos is one, others may follow.
CREATE TABLE pgw.partners (
    id           TEXT COLLATE "C" PRIMARY KEY CHECK (id LIKE 'cp\_%'),
    name         TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    -- Browser origins that may use payment tokens of this partner: scheme://host[:port], or * for any.
    cors_origins TEXT[] NOT NULL DEFAULT '{}',
    created_at   TIMESTAMPTZ NOT NULL
);

-- Several keys a partner, each with a state and an expiry, so that keys rotate without a gap.
CREATE TABLE pgw.api_keys (
    api_key       TEXT COLLATE "C" PRIMARY KEY,
    partner_id    TEXT COLLATE "C" NOT NULL REFERENCES pgw.partners,
    -- A key is of one mode for ever; its prefix says which, so that a person sees it too.
    mode          TEXT NOT NULL CHECK (mode IN ('test', 'live')),
    state         TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'revoked')),
    -- Signatures of form 1 are refused for this key.
    form2_only    BOOLEAN NOT NULL DEFAULT false,
    -- hex(SHA256(secret)), the key of the HMAC, sealed under a data key. The secret itself is nowhere.
    sealed_key    BYTEA NOT NULL,
    expires_at    TIMESTAMPTZ,
    created_at    TIMESTAMPTZ NOT NULL,
    revoked_at    TIMESTAMPTZ,
    CHECK (api_key LIKE 'pk\_' || mode || '\_%'),
    CHECK ((state = 'revoked') = (revoked_at IS NOT NULL))
);
CREATE INDEX ON pgw.api_keys (partner_id);

ALTER TABLE pgw.partners ENABLE ROW LEVEL SECURITY;
ALTER TABLE pgw.partners FORCE ROW LEVEL SECURITY;
ALTER TABLE pgw.api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE pgw.api_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON pgw.partners
    USING (id = pgw.scope_partner() OR pgw.scope_cross_tenant() IS NOT NULL);
CREATE POLICY tenant ON pgw.api_keys USING (pgw.visible(partner_id, mode));
GRANT SELECT, INSERT, UPDATE ON pgw.partners, pgw.api_keys TO pgw_backend;
