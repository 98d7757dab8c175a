"""Reading what became of a notification: the tracker knows, the gateway asks."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Protocol
from uuid import RFC_4122, UUID

from libs.contracts.failures import Unavailable
from libs.contracts.ids import created_at
from libs.wire import HttpResponse, JsonValue, Problem
from services.gateway.authorization import Principal
from services.gateway.translation import Question, ReadCall

ASK_SECONDS = 1.0
# An accepted command may still be on its way to the tracker.
ON_ITS_WAY = timedelta(minutes=5)
# How far the clock of the replica that gave an id out may be ahead.
CLOCKS_DIFFER = timedelta(minutes=1)


class Tracker(Protocol):
    """The service that knows what became of everything."""

    async def get_json(
        self, path: str, *, params: Mapping[str, str] | None = None, within: float = 1.0
    ) -> tuple[int, JsonValue]:
        """Status and body. Raises Unavailable."""
        ...


class Reading:
    """Answers GETs."""

    def __init__(self, tracker: Tracker, now: Callable[[], datetime]) -> None:
        self._tracker = tracker
        self._now = now

    async def answer(self, principal: Principal, call: ReadCall, question: Question) -> HttpResponse:
        """The tracker's answer in the call's form. Raises Problem 404 and 400, Unavailable.

        Another tenant's id is answered as one that nobody has.
        """
        params = {**question.params, "tenant": principal.tenant.name}
        status, found = await self._tracker.get_json(question.path, params=params, within=ASK_SECONDS)
        if status == 200:
            return call.answer(found)
        if status == 404:
            if is_young(question.about, self._now()):
                return call.answer_early(question.about)
            raise Problem(404, "not_found", "There is nothing with this id.")
        if status in (400, 422):
            raise Problem(400, "invalid_request", "The cursor is none that an earlier page gave. Begin without one.")
        raise Unavailable(f"the tracker answered {status}")


def is_young(value: UUID, now: datetime) -> bool:
    """Whether an id may have been given out so lately that the tracker has not heard of it."""
    if value.version != 7 or value.variant != RFC_4122:
        return False
    try:
        age = now - created_at(value)
    except (ValueError, OverflowError, OSError):  # the milliseconds reach far beyond the year 9999
        return False
    return -CLOCKS_DIFFER <= age < ON_ITS_WAY
