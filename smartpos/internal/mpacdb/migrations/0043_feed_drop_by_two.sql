-- +goose Up

-- An event is given up in two runs: dropped_by proposes it, approved_by approves. Until then it is set aside as before, and tried.
ALTER TABLE smarttab.feed_parked ADD COLUMN drop_proposed_at timestamptz;
-- The owner obeys row-level security too.
SELECT set_config('mpac.cross_tenant', 'migration', true);
UPDATE smarttab.feed_parked SET drop_proposed_at = dropped_at WHERE dropped_at IS NOT NULL;

-- Persons differ by their address at work, which has one spelling: lower case, no tag after a plus, no dot at the end of either part.
-- It is platform/person's rule.
CREATE FUNCTION smarttab.is_person(address text) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT length(address) <= 200 AND address ~ '^[a-z0-9_-]+(\.[a-z0-9_-]+)*@[a-z0-9-]+(\.[a-z0-9-]+)+$' $$;

ALTER TABLE smarttab.feed_parked DROP CONSTRAINT feed_parked_dropped;
ALTER TABLE smarttab.feed_parked
    ADD CONSTRAINT feed_parked_dropped CHECK (
        (drop_proposed_at IS NULL) = (dropped_by IS NULL) AND (drop_proposed_at IS NULL) = (dropped_because IS NULL)
        AND (dropped_at IS NULL) = (approved_by IS NULL) AND (dropped_at IS NULL OR drop_proposed_at IS NOT NULL)
        AND dropped_by <> '' AND approved_by <> '' AND dropped_because <> ''),
    ADD CONSTRAINT feed_parked_two_persons CHECK (lower(approved_by) <> lower(dropped_by)),
    -- Of those of before the names are on record as they were typed.
    ADD CONSTRAINT feed_parked_persons CHECK (smarttab.is_person(dropped_by) AND smarttab.is_person(approved_by)) NOT VALID;

-- +goose StatementBegin
CREATE FUNCTION smarttab.keep_dropped() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.dropped_at IS NOT NULL THEN
        RAISE EXCEPTION 'event % was given up by two people: that stays on record', OLD.event_id USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER keep_dropped BEFORE UPDATE OR DELETE ON smarttab.feed_parked FOR EACH ROW EXECUTE FUNCTION smarttab.keep_dropped();

-- What people decided about events, append-only: an event that is applied after all takes its row with it, not what was said of it.
CREATE TABLE smarttab.feed_decisions (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id    text NOT NULL,
    payment_ref text NOT NULL,
    type        text NOT NULL,
    action      text NOT NULL CHECK (action IN ('proposed', 'rejected', 'dropped')),
    by          text NOT NULL CHECK (smarttab.is_person(by)),
    name        text NOT NULL CHECK (name <> ''),
    origin      text NOT NULL,
    because     text NOT NULL,
    at          timestamptz NOT NULL
);
CREATE INDEX ON smarttab.feed_decisions (event_id);
-- +goose StatementBegin
CREATE FUNCTION smarttab.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON smarttab.feed_decisions FOR EACH ROW EXECUTE FUNCTION smarttab.refuse_change();
CREATE TRIGGER never_truncate BEFORE TRUNCATE ON smarttab.feed_decisions EXECUTE FUNCTION smarttab.refuse_change();
ALTER TABLE smarttab.feed_decisions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY feed ON smarttab.feed_decisions USING (mpac.scope_cross_tenant());
GRANT SELECT, INSERT ON smarttab.feed_decisions TO svc_smarttab;
