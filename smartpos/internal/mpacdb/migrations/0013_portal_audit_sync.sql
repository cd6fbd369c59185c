-- +goose Up
-- What was done, by whom; and what of it the payment gateway has yet to hear.

-- Append-only. Partitioned by id, which is a UUIDv7 and so carries its time: one partition a month.
CREATE TABLE portal.audit_log (
    id              uuid NOT NULL,
    at              timestamptz NOT NULL,
    psp_id          uuid,
    merchant_id     uuid,
    store_id        uuid,
    actor_kind      text NOT NULL CHECK (actor_kind IN ('user', 'device', 'system', 'anonymous')),
    -- User id, client id, or the name of the job.
    actor           text NOT NULL,
    impersonated_by text,
    -- resource.verb: store.update, user.login.
    action          text NOT NULL CHECK (action ~ '^[a-z_]+(\.[a-z_]+)+$'),
    entity          text NOT NULL,
    entity_id       text NOT NULL,
    -- Secrets are masked before they get here.
    before          jsonb,
    after           jsonb,
    ip              text NOT NULL,
    user_agent      text NOT NULL,
    request_id      text NOT NULL,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE TABLE portal.audit_log_default PARTITION OF portal.audit_log DEFAULT;
CREATE INDEX audit_log_by_tenant ON portal.audit_log (psp_id, merchant_id, store_id, id);
CREATE INDEX audit_log_by_entity ON portal.audit_log (entity, entity_id, id);

-- +goose StatementBegin
CREATE FUNCTION portal.refuse_change() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION 'rows of % are only ever added', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END $$;
-- +goose StatementEnd
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON portal.audit_log FOR EACH ROW EXECUTE FUNCTION portal.refuse_change();

-- The smallest UUIDv7 of an instant; the same as id.UUIDFloor in Go.
CREATE FUNCTION mpac.uuid_floor(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008' || repeat('0', 15))::uuid $$;

-- +goose StatementBegin
-- Makes the audit log's partition of the month that the instant is in, unless it is there or rows of that month lie in the default
-- partition already (where they are as good, only older months are dropped less cheaply). Services own no table, hence the definer.
CREATE FUNCTION portal.make_audit_partition(at timestamptz) RETURNS boolean LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    low   timestamptz := date_trunc('month', at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
    high  timestamptz := (date_trunc('month', at AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC';
    part  text := 'audit_log_' || to_char(at AT TIME ZONE 'UTC', 'YYYYMM');
    stray boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('portal.audit_log', 0));
    IF to_regclass('portal.' || part) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- The owner too is under row-level security.
    PERFORM set_config('mpac.cross_tenant', 'portal.partition', true);
    SELECT EXISTS (SELECT FROM portal.audit_log WHERE id >= mpac.uuid_floor(low) AND id < mpac.uuid_floor(high)) INTO stray;
    PERFORM set_config('mpac.cross_tenant', '', true);
    IF stray THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE portal.%I PARTITION OF portal.audit_log FOR VALUES FROM (%L) TO (%L)',
        part, mpac.uuid_floor(low), mpac.uuid_floor(high));
    EXECUTE format('ALTER TABLE portal.%I ENABLE ROW LEVEL SECURITY', part);
    EXECUTE format('ALTER TABLE portal.%I FORCE ROW LEVEL SECURITY', part);
    RETURN true;
END
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION portal.make_audit_partition(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION portal.make_audit_partition(timestamptz) TO svc_portal;

-- The outbox to the payment gateway: one row for each change of a merchant, a store or a provider's credentials. It holds no
-- content: what is sent is the present state, with its version, and the gateway keeps the newest.
CREATE TABLE portal.sync_outbox (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    psp_id       uuid NOT NULL,
    merchant_id  uuid NOT NULL REFERENCES portal.merchants (id),
    store_id     uuid,
    entity       text NOT NULL CHECK (entity IN ('merchant', 'store', 'provider_config')),
    entity_id    uuid NOT NULL,
    version      bigint NOT NULL,
    created_at   timestamptz NOT NULL,
    attempts     integer NOT NULL DEFAULT 0,
    last_tried_at timestamptz,
    -- What went wrong last, for people; never a secret.
    last_error   text,
    done_at      timestamptz
);
CREATE INDEX sync_outbox_pending ON portal.sync_outbox (merchant_id, id) WHERE done_at IS NULL;
CREATE INDEX sync_outbox_by_entity ON portal.sync_outbox (entity_id, id);

-- Whose turn it is to send a merchant's changes: a lease, so that they go out one after the other, whichever task sends.
CREATE TABLE portal.sync_leases (
    merchant_id  uuid PRIMARY KEY REFERENCES portal.merchants (id),
    psp_id       uuid NOT NULL,
    holder       uuid NOT NULL,
    leased_until timestamptz NOT NULL
);

ALTER TABLE portal.audit_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE portal.audit_log FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON portal.audit_log USING (mpac.tenant_visible(psp_id, merchant_id, store_id));
ALTER TABLE portal.audit_log_default ENABLE ROW LEVEL SECURITY;
ALTER TABLE portal.audit_log_default FORCE ROW LEVEL SECURITY;
ALTER TABLE portal.sync_outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE portal.sync_outbox FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON portal.sync_outbox USING (mpac.merchant_visible(psp_id, merchant_id));
ALTER TABLE portal.sync_leases ENABLE ROW LEVEL SECURITY;
ALTER TABLE portal.sync_leases FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON portal.sync_leases USING (mpac.merchant_visible(psp_id, merchant_id));

GRANT SELECT, INSERT ON portal.audit_log TO svc_portal;
GRANT SELECT, INSERT, UPDATE, DELETE ON portal.sync_outbox TO svc_portal;
GRANT SELECT, INSERT, UPDATE ON portal.sync_leases TO svc_portal;

SELECT portal.make_audit_partition(now() + n * interval '1 month') FROM generate_series(0, 2) n;
