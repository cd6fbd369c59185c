-- +goose Up

-- Sessions of all roles, as figures: how many in which state, and the age of the oldest transaction. PostgreSQL shows a role
-- the sessions of others only by this right, which the owner has and the service has not: it sees numbers, never a statement.
-- +goose StatementBegin
DO $$
BEGIN
    EXECUTE format('GRANT pg_read_all_stats TO %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
    -- Others' sessions then count as idle, and their age is not seen: whoever administers the server may grant it later.
    RAISE NOTICE 'pg_read_all_stats could not be granted to %', current_user;
END
$$;
-- +goose StatementEnd

CREATE FUNCTION portal.sessions() RETURNS TABLE (active bigint, idle bigint, idle_in_transaction bigint, oldest double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT count(*) FILTER (WHERE state = 'active'), count(*) FILTER (WHERE state = 'idle' OR state IS NULL),
        count(*) FILTER (WHERE state LIKE 'idle in transaction%'), coalesce(extract(epoch FROM now() - min(xact_start)), 0)::float8
    FROM pg_stat_activity WHERE datname = current_database() AND (backend_type = 'client backend' OR backend_type IS NULL)
$$;
REVOKE ALL ON FUNCTION portal.sessions() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION portal.sessions() TO svc_portal;
