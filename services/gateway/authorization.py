"""The one place that decides whether a call may be made: by whom, and on what."""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from libs.wire import Problem
from services.gateway.translation import Demand, Token

EVERYTHING = "*"
_TOKEN = re.compile(r"([A-Za-z0-9_-]{1,64})\.([!-~]{16,256})")
_NOBODY = bytes(32)


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whose platform it is for this call. `resources` are the places it has, such as `location/1`;
    `may_call_loopback`: webhooks and callbacks of this tenant may go to this machine, for development."""

    name: str
    resources: frozenset[str]
    requests_per_minute: int
    may_call_loopback: bool = False


@dataclass(frozen=True, slots=True)
class Credential:
    """A token as it is stored. `resources` are those it opens, `EVERYTHING` all of its tenant's."""

    prefix: str
    kind: str
    tenant: Tenant
    digest: bytes = field(repr=False)
    scopes: frozenset[str]
    resources: frozenset[str]
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: a tenant, by the credential with this prefix."""

    tenant: Tenant
    prefix: str


def prefix_of(token: Token) -> str | None:
    """The public part that a token is found by; none where it is no token of ours."""
    parts = _TOKEN.fullmatch(token.value)
    return parts[1] if parts else None


def digest_of(secret: str, pepper: bytes) -> bytes:
    """What is stored of a token's secret. It is random and long, so nothing slower than HMAC is needed."""
    return hmac.digest(pepper, secret.encode("utf-8", "surrogateescape"), hashlib.sha256)


def verify(demand: Demand, found: Mapping[str, Credential], *, pepper: bytes, now: datetime) -> tuple[Credential, ...]:
    """The credential behind each token of `demand`; `found` are the stored ones by prefix.

    Raises Problem 401 for a token that is wrong, of another kind or expired, and for tokens of two tenants.
    """
    verified = [_verify(token, found, pepper, now) for token in demand.tokens]
    credentials = tuple(credential for credential in verified if credential is not None)
    if len(credentials) < len(demand.tokens) or len({credential.tenant.name for credential in credentials}) != 1:
        raise Problem(401, "unauthenticated", "The credentials are not valid.")
    return credentials


def require(demand: Demand, credentials: Sequence[Credential]) -> Principal:
    """Who makes the call, if they may.

    Raises Problem 404 for a resource that their tenant has not, then 403 for a scope or a resource that is not open
    to each of them.
    """
    tenant = credentials[0].tenant
    if demand.resource is not None and demand.resource not in tenant.resources:
        raise Problem(404, "not_found", "There is nothing with this id.")
    if not all(_is_open(demand, credential) for credential in credentials):
        raise Problem(403, "forbidden", "The credentials do not allow this.")
    return Principal(tenant, credentials[0].prefix)


def _verify(token: Token, found: Mapping[str, Credential], pepper: bytes, now: datetime) -> Credential | None:
    """The same work whether the prefix is known or not, so that time tells nobody which prefixes exist."""
    prefix = prefix_of(token)
    credential = found.get(prefix) if prefix else None
    digest = digest_of(token.value.partition(".")[2], pepper)
    is_right = hmac.compare_digest(digest, credential.digest if credential else _NOBODY)
    if credential is None or not is_right or credential.kind != token.kind:
        return None
    return None if credential.expires_at is not None and credential.expires_at <= now else credential


def _is_open(demand: Demand, credential: Credential) -> bool:
    if demand.scope not in credential.scopes:
        return False
    return demand.resource is None or not credential.resources.isdisjoint({demand.resource, EVERYTHING})
