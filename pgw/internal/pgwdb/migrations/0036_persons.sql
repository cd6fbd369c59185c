-- +goose Up
-- Persons differ by their address at work, which has one spelling: lower case, no tag after a plus, no dot at the end of either part.
-- It is platform/person's rule.
CREATE FUNCTION pgw.is_person(address text) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT length(address) <= 200 AND address ~ '^[a-z0-9_-]+(\.[a-z0-9_-]+)*@[a-z0-9-]+(\.[a-z0-9-]+)+$' $$;
-- For what is proposed and decided from now on: a proposal of before can still be decided.
ALTER TABLE pgw.resolutions
    ADD CONSTRAINT resolutions_proposer CHECK (state <> 'proposed' OR pgw.is_person(proposed_by)) NOT VALID,
    ADD CONSTRAINT resolutions_decider CHECK (pgw.is_person(decided_by)) NOT VALID;
