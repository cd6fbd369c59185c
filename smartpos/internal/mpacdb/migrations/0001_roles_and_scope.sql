-- +goose Up
-- +goose StatementBegin
-- Two services share this database, each with a schema and a role of its own. The roles own nothing and cannot bypass
-- row-level security. svc-smarttab may read and reference what svc-portal owns, never write it: portal's migrations
-- grant it SELECT table by table.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['svc_portal', 'svc_smarttab'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOINHERIT', name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
END
$$;
-- +goose StatementEnd

CREATE SCHEMA portal;
CREATE SCHEMA smarttab;
CREATE SCHEMA mpac;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA portal TO svc_portal, svc_smarttab;
GRANT USAGE ON SCHEMA smarttab TO svc_smarttab;
GRANT USAGE ON SCHEMA mpac TO svc_portal, svc_smarttab;

-- The scope of row-level security: settings of one transaction, written by the transaction helper and by nothing else.
-- Unset reads as NULL, and a comparison with NULL lets no row through.
CREATE FUNCTION mpac.scope_psp() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(current_setting('mpac.psp_id', true), '')::uuid $$;

CREATE FUNCTION mpac.scope_merchant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(current_setting('mpac.merchant_id', true), '')::uuid $$;

CREATE FUNCTION mpac.scope_store() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(current_setting('mpac.store_id', true), '')::uuid $$;

-- True for the platform's own operators (SYSTEM_OP), who see every PSP.
CREATE FUNCTION mpac.scope_platform() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT coalesce(current_setting('mpac.platform', true), '') = 'on' $$;

-- True in the few named jobs that must see every tenant.
CREATE FUNCTION mpac.scope_cross_tenant() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT coalesce(current_setting('mpac.cross_tenant', true), '') <> '' $$;

-- What the policy of a store's row asks (orders, bills, payments): the merchant must be the scope's; a scope bound to a
-- store sees that store only.
CREATE FUNCTION mpac.store_visible(merchant_id uuid, store_id uuid) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT (merchant_id = mpac.scope_merchant() AND (mpac.scope_store() IS NULL OR store_id = mpac.scope_store()))
          OR mpac.scope_cross_tenant() $$;
