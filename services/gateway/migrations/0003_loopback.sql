-- Whether webhooks and callbacks of a tenant may go to this machine. For development: new tenants may not.
ALTER TABLE gateway.tenant ADD COLUMN may_call_loopback boolean NOT NULL DEFAULT false;
