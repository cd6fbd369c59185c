-- +goose Up
-- The one line that a transaction lacks, as one person proposes to put it back and another approves or rejects. Kept for ever.
CREATE TABLE pgw.ledger_repairs (
    id               TEXT COLLATE "C" PRIMARY KEY CHECK (id LIKE 'lr\_%'),
    transaction_id   TEXT COLLATE "C" NOT NULL,
    partner_id       TEXT COLLATE "C" NOT NULL,
    mode             TEXT NOT NULL CHECK (mode IN ('test', 'live')),
    -- The line, as it followed from what was there.
    line             SMALLINT NOT NULL CHECK (line > 0),
    account          TEXT NOT NULL,
    amount           BIGINT NOT NULL CHECK (amount <> 0),
    currency         TEXT NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    because          TEXT NOT NULL CHECK (because <> ''),
    state            TEXT NOT NULL CHECK (state IN ('proposed', 'done', 'rejected')),
    -- Persons by their address at work; the name is for readers, the origin is where the command ran.
    proposed_by      TEXT NOT NULL CHECK (pgw.is_person(proposed_by)),
    proposed_by_name TEXT NOT NULL CHECK (proposed_by_name <> ''),
    proposed_from    TEXT NOT NULL,
    proposed_at      TIMESTAMPTZ NOT NULL,
    decided_by       TEXT CHECK (pgw.is_person(decided_by)),
    decided_by_name  TEXT CHECK (decided_by_name <> ''),
    decided_from     TEXT,
    decided_at       TIMESTAMPTZ,
    note             TEXT,
    CONSTRAINT ledger_repairs_two_persons CHECK (decided_by <> proposed_by),
    CHECK ((state = 'proposed') = (decided_by IS NULL) AND (decided_by IS NULL) = (decided_by_name IS NULL)
        AND (decided_by IS NULL) = (decided_from IS NULL) AND (decided_by IS NULL) = (decided_at IS NULL)),
    CHECK (state <> 'rejected' OR note <> '')
);
-- One proposal a transaction at a time.
CREATE UNIQUE INDEX ledger_repairs_one_open ON pgw.ledger_repairs (transaction_id) WHERE state = 'proposed';

-- +goose StatementBegin
-- A proposal is decided once, and nothing else of it ever changes.
CREATE FUNCTION pgw.guard_repair() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    decision constant text[] := ARRAY['state', 'decided_by', 'decided_by_name', 'decided_from', 'decided_at', 'note'];
BEGIN
    IF TG_OP = 'INSERT' AND NEW.state IS DISTINCT FROM 'done' AND NEW.state IS DISTINCT FROM 'rejected' THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.state = 'proposed' AND NEW.state <> 'proposed' AND to_jsonb(OLD) - decision = to_jsonb(NEW) - decision THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'repairs of the ledger are proposed, decided once, and kept for ever' USING ERRCODE = 'insufficient_privilege';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON pgw.ledger_repairs FOR EACH ROW EXECUTE FUNCTION pgw.guard_repair();
CREATE TRIGGER never_truncate BEFORE TRUNCATE ON pgw.ledger_repairs EXECUTE FUNCTION pgw.guard_repair();

ALTER TABLE pgw.ledger_repairs ENABLE ROW LEVEL SECURITY;
ALTER TABLE pgw.ledger_repairs FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON pgw.ledger_repairs USING (pgw.visible(partner_id, mode));
GRANT SELECT, INSERT, UPDATE ON pgw.ledger_repairs TO pgw_backend;
