-- Whose platform it is, the places each tenant has, and who may call. Secrets are stored as HMACs only.
CREATE TABLE gateway.tenant (
    tenant              text PRIMARY KEY,
    resources           text[] NOT NULL DEFAULT '{}',
    requests_per_minute integer NOT NULL DEFAULT 200 CHECK (requests_per_minute > 0),
    created_at          timestamptz NOT NULL DEFAULT now()
);

-- A prefix is found before the tenant is known: it is unique over all of them.
CREATE TABLE gateway.credential (
    prefix     text PRIMARY KEY,
    tenant     text NOT NULL REFERENCES gateway.tenant,
    kind       text NOT NULL,
    digest     bytea NOT NULL CHECK (length(digest) = 32),
    scopes     text[] NOT NULL,
    resources  text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz
);
