-- +goose Up
-- Resolutions are told in the same hash-chained trail as the matcher's work, in their own transaction: the gateway appends to it. Its
-- triggers still refuse every change and removal.
GRANT INSERT ON pgw.recon_audit TO pgw_backend;
GRANT INSERT, UPDATE ON pgw.recon_audit_heads TO pgw_backend;
