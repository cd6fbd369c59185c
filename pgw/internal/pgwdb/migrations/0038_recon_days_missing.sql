-- +goose Up
-- Days of a provider that moved money and were seen without a complete run past their hour, until they have one: each day of the last
-- week is asked for again and again, and these however old they grow.
CREATE TABLE pgw.recon_days_missing (
    provider text NOT NULL,
    -- The provider's day (PayPay: Tokyo).
    day      date NOT NULL,
    found_at timestamptz NOT NULL,
    PRIMARY KEY (provider, day)
);
ALTER TABLE pgw.recon_days_missing ENABLE ROW LEVEL SECURITY;
ALTER TABLE pgw.recon_days_missing FORCE ROW LEVEL SECURITY;
CREATE POLICY jobs_only ON pgw.recon_days_missing USING (pgw.scope_cross_tenant() IS NOT NULL);
GRANT SELECT, INSERT, DELETE ON pgw.recon_days_missing TO pgw_backend;
GRANT SELECT ON pgw.recon_days_missing TO matcher;
