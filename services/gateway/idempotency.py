"""Idempotency-Key: a repeated request is answered again, never done again.

After draft-ietf-httpapi-idempotency-key-header-07. A key is remembered with the ids it gave out before anything is
published, so that a retry, or another gateway after this one died, repeats the ids and is recognised downstream.
"""

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import UUID, uuid4

from libs.contracts.failures import Unavailable
from libs.contracts.ids import NotificationId
from libs.wire import HttpRequest, HttpResponse, Problem
from services.gateway.deadline import Deadline
from services.gateway.gathering import Gathering

logger = logging.getLogger(__name__)

HEADER = "idempotency-key"
REPLAYED = "Idempotent-Replayed"

CLAIM_SECONDS = 1.0
SETTLE_SECONDS = 0.3
_KEY = re.compile(r"[ -~]{1,255}")


@dataclass(frozen=True, slots=True)
class Claim:
    """A caller's wish to be the one who does the work of a key. `claim` names this attempt and no other."""

    tenant: str
    route: str
    key: str
    fingerprint: bytes
    claim: UUID
    ids: tuple[NotificationId, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of a key: whose claim holds it, the ids it gave out and, once answered, the answer."""

    claim: UUID
    fingerprint: bytes
    ids: tuple[NotificationId, ...]
    response: HttpResponse | None


@dataclass(frozen=True, slots=True)
class Settlement:
    """How an attempt ended: with this answer, or (none) without one, so that the next may begin at once."""

    claim: Claim
    response: HttpResponse | None


class IdempotencyRepository(Protocol):
    """Where keys are remembered."""

    async def claim(self, claims: Sequence[Claim]) -> Sequence[Record]:
        """What is remembered of each claim's key, after those that are free have been given to their claim. No key
        stands twice in `claims`. Raises Unavailable."""
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """Remember how attempts ended, where their claim still holds the key. Raises Unavailable."""
        ...


def key_of(request: HttpRequest) -> str | None:
    """The request's key. Raises Problem 400 for one that cannot be remembered."""
    key = request.headers.get(HEADER)
    if key is not None and not _KEY.fullmatch(key):
        raise Problem(400, "invalid_idempotency_key", "Send an Idempotency-Key of 1 to 255 printable ASCII characters.")
    return key


def fingerprint(request: HttpRequest, segments: Mapping[str, str]) -> bytes:
    """What makes two requests of one call the same: body, query and the variable parts of the path."""
    parts = [f"{name}\0{value}" for values in (segments, request.query) for name, value in sorted(values.items())]
    head = "\0\0".join(parts).encode("utf-8", "surrogateescape")
    return hashlib.sha256(hashlib.sha256(head).digest() + request.body).digest()


def judge(claim: Claim, record: Record) -> Claim | HttpResponse:
    """The claim, with the ids to use, where it holds the key; else the remembered answer.

    Raises Problem 422 where the key belongs to another request, 409 where the same one is being answered now.
    """
    if record.fingerprint != claim.fingerprint:
        raise Problem(422, "idempotency_key_reused", "This Idempotency-Key belongs to another request. Use a new one.")
    if record.response is not None:
        response = record.response
        return replace(response, headers={**response.headers, REPLAYED: "true"})
    if record.claim == claim.claim:
        return replace(claim, ids=record.ids)
    raise Problem(
        409,
        "request_in_progress",
        "The same request is being answered at the moment. Try again in a second.",
        headers={"Retry-After": "1"},
    )


class Idempotency:
    """Remembers keys; those of concurrent requests are written together."""

    def __init__(self, repository: IdempotencyRepository) -> None:
        self._repository = repository
        self._claims = Gathering[Claim, Record](self._write_claims)
        self._settlements = Gathering[Settlement, None](self._write_settlements)

    async def begin(
        self,
        *,
        tenant: str,
        route: str,
        key: str,
        fingerprint: bytes,
        ids: tuple[NotificationId, ...],
        deadline: Deadline,
    ) -> Claim | HttpResponse:
        """See `judge`. Raises Problem, Unavailable."""
        claim = Claim(tenant, route, key, fingerprint, uuid4(), ids)
        return judge(claim, await self._claims.submit(claim, within=deadline.left(CLAIM_SECONDS)))

    async def settle(self, claim: Claim, response: HttpResponse | None, deadline: Deadline) -> None:
        """Best effort: what is not remembered is taken over, with the same ids, once the claim is old enough."""
        try:
            within = deadline.left(SETTLE_SECONDS)
            await self._settlements.submit(Settlement(claim, response), within=within, keep=True)
        except Unavailable as error:
            logger.warning("the end of a keyed request was not remembered in time", extra={"reason": str(error)})

    async def stop(self) -> None:
        """Finish what is being written."""
        await self._claims.stop()
        await self._settlements.stop()

    async def _write_claims(self, claims: Sequence[Claim]) -> Sequence[Record]:
        first = {(claim.tenant, claim.route, claim.key): claim for claim in reversed(claims)}
        records = dict(zip(first, await self._repository.claim(list(first.values())), strict=True))
        return [records[claim.tenant, claim.route, claim.key] for claim in claims]

    async def _write_settlements(self, settlements: Sequence[Settlement]) -> Sequence[None]:
        await self._repository.settle(settlements)
        return [None] * len(settlements)
