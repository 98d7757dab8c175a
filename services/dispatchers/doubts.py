"""What may have been sent and is to be sent again: first it is settled as its route says."""

import logging
from collections.abc import Callable, Sequence

from libs.contracts.outcomes import Ambiguous, Outcome
from services.dispatchers.messages import references
from services.dispatchers.provider import Answer, NotKnown
from services.dispatchers.retrying import Unsent
from services.dispatchers.route import Route, Unknown
from services.dispatchers.windows import Slice

logger = logging.getLogger(__name__)

Settle = Callable[[Slice, Sequence[Outcome | Unsent]], None]


class Doubts:
    """One route's. `settle` gets the outcome of each delivery that is settled without being sent."""

    def __init__(self, route: Route, settle: Settle) -> None:
        self._route = route
        self._settle = settle

    async def settle(self, slices: Sequence[Slice], is_shut: Callable[[], bool]) -> list[Slice]:
        """Park, or ask the provider about, what may have been sent; returns what is to be sent. While the route is shut
        nobody is asked: it is put off."""
        clear: list[Slice] = []
        to_ask: list[Slice] = []
        for part in slices:
            policy = self._route.unknown_policy(part.window.chunk.message_class)
            if policy is Unknown.RESEND:
                clear.append(part)
                continue
            for one in _single(part):
                if not _may_have_been_sent(one):
                    clear.append(one)
                elif policy is Unknown.PARK:
                    self._settle(one, [Unsent.PARKED])
                else:
                    to_ask.append(one)
        if not to_ask:
            return clear
        if is_shut():
            for one in to_ask:
                self._settle(one, [Unsent.DEFERRED])
            return clear
        return clear + await self._unknown_to_provider(to_ask)

    async def _unknown_to_provider(self, doubtful: Sequence[Slice]) -> list[Slice]:
        unknown: list[Slice] = []
        for one, answer in zip(doubtful, await self._ask(doubtful), strict=True):
            if isinstance(answer, NotKnown):
                unknown.append(one)
            else:
                self._settle(one, [answer])
        return unknown

    async def _ask(self, doubtful: Sequence[Slice]) -> Sequence[Answer]:
        if self._route.query is None:
            raise TypeError(f"{self._route.name} cannot be asked")
        try:
            return await self._route.query([reference for one in doubtful for reference in references(one)])
        except Exception:
            logger.exception("a provider failed", extra={"provider": self._route.name})
            return [Ambiguous("provider error")] * len(doubtful)


def _single(part: Slice) -> list[Slice]:
    return [Slice(part.window, place, place + 1) for place in range(part.start, part.stop)]


def _may_have_been_sent(one: Slice) -> bool:
    before = one.window.earlier.get(one.window.ordinals[one.start])
    return before is not None and before.maybe_sent
