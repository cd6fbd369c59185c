-- +goose Up
-- People: who they are, how they prove it, where they are signed in.

CREATE TABLE portal.users (
    id          uuid PRIMARY KEY,
    -- Kept in lower case: an address is one account, however it is typed.
    email       text NOT NULL CONSTRAINT users_email_key UNIQUE CHECK (email = lower(email) AND length(email) BETWEEN 3 AND 254),
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    role        text NOT NULL CHECK (role IN ('SYSTEM_OP', 'PSP_ADMIN', 'MERCHANT_ADMIN', 'STORE_MANAGER', 'STAFF')),
    psp_id      uuid REFERENCES portal.psps (id),
    merchant_id uuid,
    store_id    uuid,
    status      text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive')),
    version     bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    FOREIGN KEY (merchant_id, psp_id) REFERENCES portal.merchants (id, psp_id),
    FOREIGN KEY (store_id, merchant_id, psp_id) REFERENCES portal.stores (id, merchant_id, psp_id),
    -- A role is held in the tenant of its level, and only there.
    CONSTRAINT users_scope_check CHECK (
        (psp_id IS NOT NULL) = (role <> 'SYSTEM_OP')
        AND (merchant_id IS NOT NULL) = (role IN ('MERCHANT_ADMIN', 'STORE_MANAGER', 'STAFF'))
        AND (store_id IS NOT NULL) = (role IN ('STORE_MANAGER', 'STAFF')))
);
CREATE INDEX users_by_tenant ON portal.users (psp_id, merchant_id, store_id, id);

-- How a user proves to be it. Apart from portal.users, so that reading people never reads hashes.
CREATE TABLE portal.user_credentials (
    user_id           uuid PRIMARY KEY REFERENCES portal.users (id),
    password_hash     text NOT NULL CHECK (password_hash LIKE '$argon2id$%'),
    password_set_at   timestamptz NOT NULL,
    totp_secret_sealed bytea,
    -- NULL with a secret: enrolment was begun and not confirmed by a first code.
    totp_confirmed_at timestamptz,
    -- The last 30-second step whose code was accepted: a code is good once.
    totp_last_step    bigint NOT NULL DEFAULT 0
);

-- A sign-in, and the family of its refresh tokens. Ended, never deleted while its tokens live.
CREATE TABLE portal.sessions (
    id           uuid PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES portal.users (id),
    created_at   timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    ip           text NOT NULL,
    user_agent   text NOT NULL,
    ended_at     timestamptz,
    end_reason   text CHECK (end_reason IN ('logout', 'ended', 'refresh_reused', 'user_changed')),
    CHECK ((ended_at IS NULL) = (end_reason IS NULL))
);
CREATE INDEX sessions_by_user ON portal.sessions (user_id, id);

CREATE TABLE portal.refresh_tokens (
    -- SHA-256 of the token: 256 random bits need no slow hash.
    token_hash bytea PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES portal.sessions (id),
    issued_at  timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    -- Set when it was exchanged for its successor. Shown again after that, it has been stolen: the session ends.
    used_at    timestamptz
);
CREATE INDEX refresh_tokens_by_session ON portal.refresh_tokens (session_id);
CREATE INDEX refresh_tokens_by_expiry ON portal.refresh_tokens (expires_at);

-- Between the password and the second factor.
CREATE TABLE portal.mfa_challenges (
    token_hash bytea PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES portal.users (id),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    failures   integer NOT NULL DEFAULT 0,
    used_at    timestamptz
);
CREATE INDEX mfa_challenges_by_expiry ON portal.mfa_challenges (expires_at);

-- Browsers from which a user has signed in fully before: a flood of wrong passwords from elsewhere does not keep them out.
CREATE TABLE portal.known_devices (
    token_hash   bytea PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES portal.users (id),
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL
);
CREATE INDEX known_devices_by_expiry ON portal.known_devices (expires_at);

-- Failed sign-ins, by account and source. The account is the hash of what was typed, whether or not there is such a user, so
-- that nothing here or in the answer tells.
CREATE TABLE portal.login_failures (
    account_hash bytea NOT NULL,
    -- 'ip:...' or 'device:...'; 'all' counts over every source that is not a known device.
    source       text NOT NULL CHECK (source LIKE 'ip:%' OR source LIKE 'device:%' OR source = 'all'),
    failures     integer NOT NULL,
    last_at      timestamptz NOT NULL,
    -- Until when nothing is tried for this pair.
    locked_until timestamptz,
    PRIMARY KEY (account_hash, source)
);
CREATE INDEX login_failures_by_age ON portal.login_failures (last_at);

ALTER TABLE portal.users ENABLE ROW LEVEL SECURITY;
ALTER TABLE portal.users FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON portal.users USING (mpac.tenant_visible(psp_id, merchant_id, store_id));
-- What hangs on a user is visible where the user is: the inner query is itself under the policy of portal.users.
ALTER TABLE portal.user_credentials ENABLE ROW LEVEL SECURITY;
ALTER TABLE portal.user_credentials FORCE ROW LEVEL SECURITY;
CREATE POLICY of_user ON portal.user_credentials USING (EXISTS (SELECT FROM portal.users u WHERE u.id = user_id));
ALTER TABLE portal.sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE portal.sessions FORCE ROW LEVEL SECURITY;
CREATE POLICY of_user ON portal.sessions USING (EXISTS (SELECT FROM portal.users u WHERE u.id = user_id));
-- Only signing in and staying in, which happen before a tenant is known, touch these.
ALTER TABLE portal.refresh_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE portal.refresh_tokens FORCE ROW LEVEL SECURITY;
CREATE POLICY jobs_only ON portal.refresh_tokens USING (mpac.scope_cross_tenant());
ALTER TABLE portal.mfa_challenges ENABLE ROW LEVEL SECURITY;
ALTER TABLE portal.mfa_challenges FORCE ROW LEVEL SECURITY;
CREATE POLICY jobs_only ON portal.mfa_challenges USING (mpac.scope_cross_tenant());
ALTER TABLE portal.known_devices ENABLE ROW LEVEL SECURITY;
ALTER TABLE portal.known_devices FORCE ROW LEVEL SECURITY;
CREATE POLICY jobs_only ON portal.known_devices USING (mpac.scope_cross_tenant());
ALTER TABLE portal.login_failures ENABLE ROW LEVEL SECURITY;
ALTER TABLE portal.login_failures FORCE ROW LEVEL SECURITY;
CREATE POLICY jobs_only ON portal.login_failures USING (mpac.scope_cross_tenant());

GRANT SELECT, INSERT, UPDATE ON portal.users, portal.user_credentials, portal.sessions TO svc_portal;
GRANT SELECT, INSERT, UPDATE, DELETE ON portal.refresh_tokens, portal.mfa_challenges, portal.known_devices, portal.login_failures TO svc_portal;
-- Receipts and settlements name who did it; nothing else of a person leaves svc-portal.
GRANT SELECT (id, name, role, psp_id, merchant_id, store_id, status), REFERENCES (id) ON portal.users TO svc_smarttab;
