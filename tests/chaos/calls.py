"""What the two ledgers hold: calls as the client knows them, messages as the carrier got them. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tests.chaos.load import address

Message = tuple[str, str]  # its marker and its address


class Fate(StrEnum):
    """What the caller knows of a call."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Attempt:
    """One request. `status` is none where no answer came, `seconds` how long that took; `refused` says that the answer
    (or the missing connection) proves that nothing was handed over. `digest` is of the answer's bytes."""

    begun: float
    cause: str
    status: int | None = None
    seconds: float | None = None
    notification: str | None = None
    refused: bool = False
    digest: str | None = None


@dataclass(frozen=True)
class Control:
    """What was asked of a notification after it was sent. `answered` is when the answer came, if one did."""

    action: str
    begun: float
    status: int | None
    answered: float | None

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True)
class Call:
    """One call with everything that was tried for it, oldest first."""

    number: int
    marker: str
    first: int
    count: int
    attempts: Sequence[Attempt]
    controls: Sequence[Control] = ()

    @property
    def cancelled_at(self) -> float | None:
        """When the first cancel was answered with 2xx, if one was."""
        answered = [one.answered for one in self.controls if one.action == "cancel" and one.accepted]
        return next((at for at in answered if at is not None), None)

    @property
    def may_be_cancelled(self) -> bool:
        """Whether a cancel was asked for that was not refused."""
        return any(one.action == "cancel" and (one.accepted or one.status is None) for one in self.controls)

    @property
    def answers(self) -> set[str]:
        """The different bytes of its 2xx answers."""
        return {one.digest for one in self.attempts if one.digest is not None and one.notification is not None}

    @property
    def messages(self) -> list[Message]:
        return [(self.marker, address(self.first + offset)) for offset in range(self.count)]

    @property
    def notifications(self) -> list[str]:
        """The ids it was answered with: never more than one, if the promise holds."""
        return sorted({attempt.notification for attempt in self.attempts if attempt.notification is not None})

    @property
    def fate(self) -> Fate:
        if self.notifications:
            return Fate.ACCEPTED
        return Fate.REFUSED if all(attempt.refused for attempt in self.attempts) else Fate.UNKNOWN


@dataclass(frozen=True)
class Arrival:
    """One message as the carrier wrote it down. `repeat`: it had seen the reference before. `end` is the state that its
    reports lead to; `in_doubt`: nobody was told that it was taken."""

    reference: str
    to: str
    marker: str
    at: float
    repeat: bool
    end: str = "delivered"
    in_doubt: bool = False
    carrier: int = 0


def calls_of(entries: Iterable[Mapping[str, Any]]) -> list[Call]:
    """The client's ledger, call by call."""
    requests: dict[tuple[int, int], Mapping[str, Any]] = {}
    answers: dict[tuple[int, int], Mapping[str, Any]] = {}
    controls: dict[int, list[Control]] = defaultdict(list)
    for entry in entries:
        if entry["kind"] == "control":
            controls[entry["number"]].append(
                Control(entry["action"], entry["begun"], entry.get("status"), entry.get("at"))
            )
            continue
        side = requests if entry["kind"] == "request" else answers
        side[entry["number"], entry["attempt"]] = entry
    attempts: dict[int, list[Attempt]] = defaultdict(list)
    for key, request in sorted(requests.items()):
        attempts[key[0]].append(_attempt(request, answers.get(key)))
    firsts = {entry["number"]: entry for entry in requests.values()}
    return [
        Call(
            number,
            firsts[number]["marker"],
            firsts[number]["first"],
            firsts[number]["count"],
            tried,
            controls.get(number, ()),
        )
        for number, tried in attempts.items()
    ]


def _attempt(request: Mapping[str, Any], answer: Mapping[str, Any] | None) -> Attempt:
    if answer is None:
        return Attempt(request["at"], "no answer written down")
    status, outcome = answer.get("status"), answer.get("outcome")
    if status is None:
        cause = str(answer.get("error", "no answer"))
        refused = bool(answer.get("not_connected"))
        return Attempt(request["at"], cause, seconds=answer["seconds"], refused=refused)
    cause = f"{status} {outcome}" if outcome else str(status)
    # 409: a twin of it is being answered, so it says nothing of the call.
    refused = outcome == "refused" or (400 <= status < 500 and status not in (408, 409))
    digest = answer.get("digest")
    return Attempt(request["at"], cause, status, answer["seconds"], answer.get("id"), refused, digest)


def arrivals_of(entries: Iterable[Mapping[str, Any]], carrier: int = 0) -> list[Arrival]:
    """The messages in a carrier's ledger."""
    return [
        Arrival(
            entry["reference"],
            entry["to"],
            entry["marker"],
            entry["at"],
            entry["repeat"],
            entry["end"],
            entry["in_doubt"],
            carrier,
        )
        for entry in entries
        if entry["kind"] == "message"
    ]


def turned_away(entries: Iterable[Mapping[str, Any]]) -> list[tuple[str, float, int]]:
    """What a carrier did not take: how it behaved, when, how many messages."""
    return [(entry["mode"], entry["at"], entry["messages"]) for entry in entries if entry["kind"] == "turned away"]
