"""What is stored of a call, and what becomes of the call once it is known which of its ids were new."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from libs.contracts.audience import Addresses, ClientIds, StoredAudience
from libs.contracts.content import INLINE_LIMIT_BYTES, StoredContent
from libs.contracts.ids import NotificationId
from libs.contracts.notification import Notification
from services.ingest.submission import Submission
from services.ingest.validation import Invalid, validated

LONGEST_ID_BYTES = 20  # nineteen digits and a comma


@dataclass(frozen=True, slots=True)
class Blob:
    """A body that is kept under its hash."""

    tenant: str
    sha256: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """A notification as it is to be stored. `body_hash` is of what was asked, before numbers were put into form;
    `notification` is what goes on and is written down as JSON."""

    notification: Notification
    tenant: str
    request_id: str | None
    body_hash: bytes
    dialect: str
    command_id: UUID
    traceparent: str | None

    @property
    def notification_id(self) -> NotificationId:
        """The id it gets if it is new."""
        return self.notification.notification_id


@dataclass(frozen=True, slots=True)
class Stored:
    """A notification as it stands in the table, by this run or an earlier one: all events are derived from it."""

    notification: Notification
    tenant: str
    body_hash: bytes
    dialect: str
    command_id: UUID
    traceparent: str | None
    accepted_at: datetime
    waits: bool

    @property
    def notification_id(self) -> NotificationId:
        """The id it has for good."""
        return self.notification.notification_id


@dataclass(frozen=True, slots=True)
class Call:
    """One submission, judged by itself: its entries, or why nobody can have it."""

    submission: Submission
    entries: Sequence[Entry] = ()
    blobs: Sequence[Blob] = ()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call that is not accepted. `conflict`: its ids belong to what was accepted earlier, so they are not its own."""

    submission: Submission
    reason: str
    conflict: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a batch. `withdrawn` were new but belong to a refused call: a call is never half accepted."""

    accepted: Sequence[Stored]
    refusals: Sequence[Refusal]
    withdrawn: Sequence[NotificationId]


def judge(submission: Submission, traceparent: str | None) -> Call:
    """A submission's entries, or the first rule that one of its notifications breaks: a call is never half accepted."""
    entries: list[Entry] = []
    blobs: list[Blob] = []
    for index, notification in enumerate(submission.notifications):
        try:
            valid = validated(notification)
        except Invalid as error:
            where = f"notifications.{index}." if len(submission.notifications) > 1 else ""
            return Call(submission, reason=f"{where}{error}")
        light, blob = lightened(valid, submission.tenant)
        blobs += [blob] if blob else []
        entries.append(
            Entry(
                notification=light,
                tenant=submission.tenant,
                request_id=submission.request_id,
                body_hash=body_hash(notification),
                dialect=submission.dialect,
                command_id=submission.event_id,
                traceparent=traceparent,
            )
        )
    return Call(submission, entries, blobs)


def body_hash(notification: Notification) -> bytes:
    """sha256 of what was asked, without the id. Fields at their defaults are left out, so that a field that comes with
    a later release does not make an old request look different. So is the instant of a wall-clock time: another release
    of the zones may put it elsewhere."""
    found = {"notification_id"} if notification.wall is None else {"notification_id", "at"}
    return hashlib.sha256(notification.model_dump_json(exclude=found, exclude_defaults=True).encode()).digest()


def lightened(notification: Notification, tenant: str) -> tuple[Notification, Blob | None]:
    """The notification with a list over 256 KiB replaced by its hash, and the list."""
    to = notification.to
    if isinstance(to, StoredAudience):
        return notification, None
    if _at_most(to) <= INLINE_LIMIT_BYTES:
        return notification, None  # without writing the list down
    body = to.model_dump_json().encode()
    if len(body) <= INLINE_LIMIT_BYTES:
        return notification, None
    sha256 = hashlib.sha256(body).hexdigest()
    count = len(to.client_ids) if isinstance(to, ClientIds) else len(to.addresses)
    reference = StoredAudience(sha256=sha256, size=len(body), count=count)
    return notification.model_copy(update={"to": reference}), Blob(tenant, sha256, body)


def _at_most(to: ClientIds | Addresses) -> int:
    """More bytes than the list has as JSON, not counting its few fixed ones."""
    if isinstance(to, ClientIds):
        return len(to.client_ids) * LONGEST_ID_BYTES + 100
    return sum(map(len, to.addresses)) * 6 + len(to.addresses) * 3 + 100  # a character takes at most six


def references(entries: Iterable[Entry]) -> Iterator[tuple[str, str]]:
    """(tenant, sha256) of everything the entries name that is kept apart."""
    for entry in entries:
        fallback = (step.content for step in entry.notification.fallback)
        for part in (entry.notification.to, entry.notification.content, *fallback):
            if isinstance(part, StoredAudience | StoredContent):
                yield entry.tenant, part.sha256


def with_known_content(calls: Iterable[Call], known: set[tuple[str, str]]) -> Sequence[Call]:
    """The calls, those refused that name a body nobody has stored."""
    return [
        call if set(references(call.entries)) <= known else Call(call.submission, reason="a stored body is not known")
        for call in calls
    ]


def settle(
    calls: Sequence[Call],
    by_id: Mapping[tuple[str, UUID], Stored],
    by_request: Mapping[tuple[str, str], Stored],
    fresh: set[NotificationId],
) -> Verdict:
    """Accept the calls whose every entry stands in the table as they ask for it; the keys begin with the tenant."""
    accepted: dict[NotificationId, Stored] = {}
    refusals: list[Refusal] = []
    for call in calls:
        if call.reason is not None:
            refusals.append(Refusal(call.submission, call.reason))
            continue
        found = [
            by_id.get((entry.tenant, entry.notification_id))
            if entry.request_id is None
            else by_request.get((entry.tenant, entry.request_id))
            for entry in call.entries
        ]
        standing = [stored for stored in found if stored is not None]
        if [stored.body_hash for stored in standing] == [entry.body_hash for entry in call.entries]:
            accepted.update((stored.notification_id, stored) for stored in standing)
        else:
            refusals.append(Refusal(call.submission, "this id was used before for something else", conflict=True))
    return Verdict(list(accepted.values()), refusals, sorted(fresh - accepted.keys()))
