-- +goose Up
-- The W3C trace context of the request that began an attempt or a refund, so that its outcome, which may come much later and by
-- somebody else, is told in the trace of the sale. NULL: the request was not traced. NOT VALID saves reading tables in which every
-- value is NULL; rows to come are held to it.
ALTER TABLE pgw.payment_attempts ADD COLUMN traceparent TEXT;
ALTER TABLE pgw.payment_attempts ADD CONSTRAINT payment_attempts_traceparent
    CHECK (traceparent ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$') NOT VALID;
ALTER TABLE pgw.refunds ADD COLUMN traceparent TEXT;
ALTER TABLE pgw.refunds ADD CONSTRAINT refunds_traceparent
    CHECK (traceparent ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$') NOT VALID;
