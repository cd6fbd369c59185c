-- +goose Up
-- Another attempt that the item's provider knows by this id, whoever's it is; NULL: none. Ids of the two modes are two worlds. It sees
-- every tenant, for its own length only, so that what is approved in the transaction of one tenant can ask it there.
-- +goose StatementBegin
CREATE FUNCTION pgw.provider_payment_holder(item_id text, payment_id text, of_mode text) RETURNS text LANGUAGE plpgsql
AS $$
DECLARE
    before text := coalesce(current_setting('mpac.cross_tenant', true), '');
    holder text;
BEGIN
    -- Not by SET of the function itself: only a superuser may write that. An error ends the transaction, and the setting with it.
    PERFORM set_config('mpac.cross_tenant', 'pgw.resolution', true);
    SELECT a.id INTO holder FROM pgw.payment_attempts a
    WHERE a.provider = (SELECT i.provider FROM pgw.payment_attempts i WHERE i.id = item_id)
      AND a.provider_payment_id = payment_id AND a.mode = of_mode AND a.id <> item_id
    LIMIT 1;
    PERFORM set_config('mpac.cross_tenant', before, true);
    RETURN holder;
END
$$;
-- +goose StatementEnd
