"""What is left on tenants' accounts, remembered for a few seconds."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from libs.contracts.failures import Unavailable
from libs.wire import JsonValue
from services.gateway.funds import Account, account_in, is_charged, require_funds
from services.gateway.translation import Draft

REMEMBER_SECONDS = 5.0
# A dispatcher that is away refuses nothing, and costs one call in five seconds this much.
ASK_SECONDS = 0.3
MOST_REMEMBERED = 10_000


class Dispatcher(Protocol):
    """The service that spends."""

    async def get_json(
        self, path: str, *, params: Mapping[str, str] | None = None, within: float = 1.0
    ) -> tuple[int, JsonValue]:
        """Status and body. Raises Unavailable."""
        ...


class Balances:
    """Asks a dispatcher."""

    def __init__(self, dispatcher: Dispatcher, clock: Callable[[], float] = time.monotonic) -> None:
        self._dispatcher = dispatcher
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, asyncio.Task[Account | None]]] = OrderedDict()

    async def require(self, tenant: str, drafts: Sequence[Draft]) -> None:
        """Raises Problem 402 where the tenant's account is known not to pay for `drafts`."""
        if is_charged(drafts):
            require_funds(drafts, await self._account(tenant))

    async def _account(self, tenant: str) -> Account | None:
        """One question at a time for each tenant; who comes meanwhile waits for its answer."""
        known = self._known.get(tenant)
        if known is None or self._clock() - known[0] > REMEMBER_SECONDS:
            known = self._clock(), asyncio.create_task(self._ask(tenant))
            self._known[tenant] = known
            self._known.move_to_end(tenant)
            if len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)
        return await asyncio.shield(known[1])

    async def _ask(self, tenant: str) -> Account | None:
        try:
            status, found = await self._dispatcher.get_json(f"/accounts/{tenant}", within=ASK_SECONDS)
        except Unavailable:
            return None
        return account_in(found) if status == 200 else None
