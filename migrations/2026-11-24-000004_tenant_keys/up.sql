-- Each tenant's keys, wrapped under a master key that no database holds: of no use to whoever has the rows alone. In the
-- registry's own row, so that a change of them is notified as any other of the tenant is.
ALTER TABLE control.tenants
    ADD COLUMN keys jsonb NOT NULL DEFAULT '[]' CONSTRAINT tenants_keys_check CHECK (jsonb_typeof(keys) = 'array');
