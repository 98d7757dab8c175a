"""What a scenario has to work with while it runs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.chaos.behaviour import Mode
from tests.chaos.books import Place
from tests.chaos.calls import arrivals_of
from tests.chaos.client import Client
from tests.chaos.faults import Faults
from tests.chaos.following import Follower
from tests.chaos.ledger import Tail
from tests.chaos.load import Planned
from tests.chaos.platform import Platform


@dataclass(frozen=True)
class Scene:
    """`broken` takes promises that the scenario itself saw broken, `buried` what must be a dead letter in the end;
    `may_be_buried` what may be one, `spoken_of` which notifications do not exist for the tenant that was named."""

    up: Platform
    faults: Faults
    client: Client
    follower: Follower
    session: aiohttp.ClientSession
    broken: list[str] = field(default_factory=list)
    buried: set[Place] = field(default_factory=set)
    may_be_buried: set[Place] = field(default_factory=set)
    spoken_of: set[str] = field(default_factory=set)
    _tails: dict[Path, Tail] = field(default_factory=dict)
    _arrived: Counter[str] = field(default_factory=Counter)

    def say(self, text: str) -> None:
        """For who watches."""
        self.faults.say(text)

    def expect(self, kept: bool, otherwise: str) -> None:
        """A promise, and what is said if it is not kept."""
        if not kept:
            self.broken.append(otherwise)

    async def behave(self, mode: Mode, carrier: int = 0) -> None:
        """Have a carrier behave so from now on."""
        await self.up.carriers[carrier].behave(self.session, mode)
        self.say(f"carrier {carrier}: {mode}")

    async def control(self, call: Planned, notification: str, action: str) -> int | None:
        """Pause, resume or cancel."""
        if action == "cancel":
            self.follower.stopped.add(notification)
        status = await self.client.control(call, notification, action)
        self.say(f"{action} of {call.count}: {status}")
        return status

    def arrived(self, call: Planned) -> int:
        """How many messages of a call the carriers have."""
        for carrier in self.up.carriers:
            tail = self._tails.setdefault(carrier.ledger, Tail(carrier.ledger))
            self._arrived.update(one.marker for one in arrivals_of(tail.fresh()))
        return self._arrived[call.marker]

    async def reports_taken(self) -> bool:
        """Whether the platform has taken every report of every carrier."""
        return not any(one["waiting"] for one in await self.carrier_states())

    async def carrier_states(self) -> Sequence[dict[str, int]]:
        """See Carrier.state."""
        return [await one.state(self.session) for one in self.up.carriers]
