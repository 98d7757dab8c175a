"""In-memory stands-in for what the gateway talks to, and the wiring of app.py over them."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from aiohttp import web

from libs.bus import Outgoing
from libs.contracts.commands import ControlNotification, SendNotification
from libs.contracts.failures import Unavailable
from libs.web import application
from libs.wire import JsonValue
from services.gateway.accepting import Accepting
from services.gateway.asking import Asking
from services.gateway.authorization import EVERYTHING, Credential, Tenant, digest_of
from services.gateway.controlling import Controlling
from services.gateway.credentials import Credentials
from services.gateway.idempotency import Claim, Idempotency, Record, Settlement
from services.gateway.limits import RequestLimit
from services.gateway.reading import Reading
from services.gateway.routes import Front, render
from services.gateway.translation import CONTROL, READ, RESEND, SECRETS, SEND, Draft, Owner

PEPPER = b"a pepper of the tests"
SECRET = "s" * 32
PARTNER_TOKEN = f"altp_test.{SECRET}"
USER_TOKEN = f"altu_test.{SECRET}"
API_KEY = f"key_test.{SECRET}"
READ_ONLY_KEY = f"key_readonly.{SECRET}"
OTHERS_KEY = f"key_other.{SECRET}"
ALTEGIO = {"Authorization": f"Bearer {PARTNER_TOKEN}, User {USER_TOKEN}"}
NATIVE = {"Authorization": f"Bearer {API_KEY}"}
SMS_PATH = "/api/v1/sms/clients/by_id/1"

TENANT = Tenant("demo", frozenset({"location/1", "location/2"}), 200, may_call_loopback=True)
OTHER = Tenant("other", frozenset({"location/9"}), 200)


def credential(
    token: str, kind: str, tenant: Tenant, scopes: set[str], resources: set[str], **extra: datetime
) -> Credential:
    prefix, _, secret = token.partition(".")
    return Credential(prefix, kind, tenant, digest_of(secret, PEPPER), frozenset(scopes), frozenset(resources), **extra)


CREDENTIALS = [
    credential(PARTNER_TOKEN, "altegio.partner", TENANT, {SEND}, {EVERYTHING}),
    credential(USER_TOKEN, "altegio.user", TENANT, {SEND}, {"location/1"}),
    credential(f"altu_reader.{SECRET}", "altegio.user", TENANT, {READ}, {"location/1"}),
    credential(
        f"altp_old.{SECRET}",
        "altegio.partner",
        TENANT,
        {SEND},
        {EVERYTHING},
        expires_at=datetime(2020, 1, 1, tzinfo=UTC),
    ),
    credential(API_KEY, "native", TENANT, {SEND, READ, CONTROL, RESEND, SECRETS}, {EVERYTHING}),
    credential(READ_ONLY_KEY, "native", TENANT, {READ}, {EVERYTHING}),
    credential(OTHERS_KEY, "native", OTHER, {SEND, READ, CONTROL, RESEND, SECRETS}, {EVERYTHING}),
    credential(f"altp_other.{SECRET}", "altegio.partner", OTHER, {SEND}, {EVERYTHING}),
    credential(f"altu_other.{SECRET}", "altegio.user", OTHER, {SEND}, {"location/9"}),
]


@dataclass
class FakeIntake:
    """Keeps what it accepts, or fails as told. `wait` holds acknowledgements back."""

    accepted: list[Outgoing] = field(default_factory=list)
    failure: Exception | None = None
    wait: asyncio.Event | None = None
    within: list[float] = field(default_factory=list)

    async def accept(self, outgoing: Outgoing, *, within: float) -> None:
        self.within.append(within)
        if self.failure is not None:
            raise self.failure
        if self.wait is not None:
            await self.wait.wait()
        self.accepted.append(outgoing)

    @property
    def commands(self) -> list[SendNotification]:
        return [one.message for one in self.accepted if isinstance(one.message, SendNotification)]

    @property
    def orders(self) -> list[ControlNotification]:
        return [one.message for one in self.accepted if isinstance(one.message, ControlNotification)]


@dataclass
class FakeContent:
    """Ingest's store of long bodies."""

    bodies: dict[tuple[str, str], bytes] = field(default_factory=dict)
    failure: Exception | None = None

    async def put(self, tenant: str, body: bytes) -> str:
        if self.failure is not None:
            raise self.failure
        sha256 = hashlib.sha256(body).hexdigest()
        self.bodies[tenant, sha256] = body
        return sha256


@dataclass
class FakeOwner:
    """A service that answers by path; 404 for what it does not know."""

    answers: dict[str, tuple[int, JsonValue]] = field(default_factory=dict)
    failure: Exception | None = None
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    posted: list[tuple[str, JsonValue, dict[str, str]]] = field(default_factory=list)

    async def get_json(
        self, path: str, *, params: Mapping[str, str] | None = None, within: float = 1.0
    ) -> tuple[int, JsonValue]:
        self.asked.append((path, dict(params or {})))
        if self.failure is not None:
            raise self.failure
        return self.answers.get(path, (404, {"detail": "unknown"}))

    async def post_json(
        self, path: str, value: JsonValue, *, params: Mapping[str, str] | None = None, within: float = 2.0
    ) -> tuple[int, JsonValue]:
        self.posted.append((path, value, dict(params or {})))
        if self.failure is not None:
            raise self.failure
        return self.answers.get(path, (404, {"detail": "unknown"}))


@dataclass
class FakeBalances:
    """Pays for everything, or nothing."""

    failure: Exception | None = None

    async def require(self, tenant: str, drafts: Sequence[Draft]) -> None:
        if self.failure is not None:
            raise self.failure


@dataclass
class MemoryRepository:
    """What repository.py does, without Postgres."""

    known: dict[str, Credential] = field(default_factory=lambda: {one.prefix: one for one in CREDENTIALS})
    records: dict[tuple[str, str, str], tuple[Record, datetime, datetime]] = field(default_factory=dict)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    is_away: bool = False
    lookups: int = 0

    async def credentials(self, prefixes: Sequence[str]) -> Mapping[str, Credential]:
        self._reach()
        self.lookups += 1
        return {prefix: self.known[prefix] for prefix in prefixes if prefix in self.known}

    async def claim(self, claims: Sequence[Claim]) -> Sequence[Record]:
        self._reach()
        return [self._claim(claim) for claim in claims]

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        self._reach()
        for ended in settlements:
            place = (ended.claim.tenant, ended.claim.route, ended.claim.key)
            record, claimed_at, created_at = self.records[place]
            if record.claim == ended.claim.claim and record.response is None:
                claimed_at = claimed_at if ended.response else datetime.min.replace(tzinfo=UTC)
                self.records[place] = replace(record, response=ended.response), claimed_at, created_at

    def age(self, seconds: float) -> None:
        """Let time pass for every record."""
        self.now += timedelta(seconds=seconds)

    def _claim(self, claim: Claim) -> Record:
        place = (claim.tenant, claim.route, claim.key)
        held = self.records.get(place)
        fresh = Record(claim.claim, claim.fingerprint, claim.ids, None)
        if held is None or self.now - held[2] > timedelta(days=15):
            self.records[place] = fresh, self.now, self.now
        else:
            record, claimed_at, created_at = held
            is_old = self.now - claimed_at > timedelta(seconds=5)
            if record.response is None and is_old and record.fingerprint == claim.fingerprint:
                self.records[place] = replace(fresh, ids=record.ids), self.now, created_at
        return self.records[place][0]

    def _reach(self) -> None:
        if self.is_away:
            raise Unavailable("postgres is away")


@dataclass
class Platform:
    """Everything behind one gateway."""

    intake: FakeIntake = field(default_factory=FakeIntake)
    content: FakeContent = field(default_factory=FakeContent)
    tracker: FakeOwner = field(default_factory=FakeOwner)
    itself: FakeOwner = field(default_factory=FakeOwner)
    balances: FakeBalances = field(default_factory=FakeBalances)
    repository: MemoryRepository = field(default_factory=MemoryRepository)
    seconds: float = 1000.0
    now: datetime | None = None

    def app(self, repository: object | None = None) -> web.Application:
        """The gateway's application over these; `repository` in place of the one in memory."""
        behind = self.repository if repository is None else repository

        def now() -> datetime:
            return self.now or datetime.now(UTC)

        front = Front(
            credentials=Credentials(
                behind,  # type: ignore[arg-type]
                pepper=PEPPER,
                remember=timedelta(seconds=25),
                now=now,
                clock=lambda: self.seconds,
            ),
            limit=RequestLimit(clock=lambda: self.seconds),
            idempotency=Idempotency(behind),  # type: ignore[arg-type]
            accepting=Accepting(self.intake, self.content, self.balances),
            controlling=Controlling(self.intake, self.tracker, now),
            asking=Asking({Owner.TRACKER: self.tracker, Owner.GATEWAY: self.itself}, now),
            reading=Reading(self.tracker, now),
            now=now,
        )
        app = application(render=render, honour_traceparent=True)
        front.add_routes(app)
        return app
