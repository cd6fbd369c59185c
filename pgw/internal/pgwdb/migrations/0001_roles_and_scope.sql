-- +goose Up
-- +goose StatementBegin
-- The services log in as roles that own nothing, cannot bypass row-level security and cannot create objects.
-- Roles belong to the whole server, so a second database of the same server (a test's) finds them already there.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['pgw_backend', 'matcher'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOINHERIT', name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
END
$$;
-- +goose StatementEnd

CREATE SCHEMA pgw;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA pgw TO pgw_backend, matcher;

-- The scope of row-level security: settings of one transaction, written by the transaction helper and by nothing else.
-- Unset reads as NULL, and a comparison with NULL lets no row through.

-- The partner whose rows the transaction may see.
CREATE FUNCTION pgw.scope_partner() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(current_setting('mpac.partner_id', true), '') $$;

-- 'test' or 'live': the two never mix.
CREATE FUNCTION pgw.scope_mode() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(current_setting('mpac.mode', true), '') $$;

-- The name of the job that may see every tenant; NULL for all that serve a request.
CREATE FUNCTION pgw.scope_cross_tenant() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(current_setting('mpac.cross_tenant', true), '') $$;

-- What every policy of a partner's rows asks.
CREATE FUNCTION pgw.visible(partner_id text, mode text) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT (partner_id = pgw.scope_partner() AND mode = pgw.scope_mode()) OR pgw.scope_cross_tenant() IS NOT NULL $$;
