-- The people of a tenant. Reached by the tenant's own ids; an address may belong to several of them.
CREATE TABLE audience.contact (
    tenant text COLLATE "C" NOT NULL,
    client_id bigint NOT NULL CHECK (client_id >= 0),
    fullname text NOT NULL DEFAULT '',
    -- E.164: what is sent to is exactly what stands here, and equal numbers are equal texts.
    phone text COLLATE "C" CHECK (phone ~ '^\+[1-9][0-9]{6,14}$'),
    email text,
    card text,
    locale text,
    timezone text,
    user_key text,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, client_id)
);
