"""A campaign to people by their addresses, controlled as one: 100,000 addresses are a little too much for one call."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.chaos import controls
from tests.chaos.load import Planned
from tests.chaos.scene import Scene

PER_CALL = 50_000


@dataclass(frozen=True)
class Campaign:
    """The calls it consists of, and what they became."""

    scene: Scene
    calls: Sequence[tuple[Planned, str]]

    @classmethod
    async def sent(cls, scene: Scene, people: int) -> "Campaign":
        """Send it. Raises RuntimeError when a call is not accepted."""
        calls = []
        for _ in range(people // PER_CALL):
            call = scene.client.another(PER_CALL)
            notification = await scene.client.carry_through(call)
            if notification is None:
                raise RuntimeError(f"a call to {PER_CALL} was not accepted")
            calls.append((call, notification))
        return cls(scene, calls)

    def arrived(self) -> int:
        """How many messages the carriers have."""
        return sum(self.scene.arrived(call) for call, _ in self.calls)

    async def until_arrived(self, number: float, *, within: float) -> None:
        """Wait until so many have arrived. Raises TimeoutError."""
        deadline = time.monotonic() + within
        while (arrived := self.arrived()) < number:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{arrived} have arrived, not {number:.0f}")
            await asyncio.sleep(0.05)

    async def control(self, action: str) -> None:
        """Pause, resume or cancel what is left of it: a call that is through cannot be controlled any more."""
        for call, notification in self.calls:
            is_through = self.scene.arrived(call) == PER_CALL
            status = await self.scene.control(call, notification, action)
            self.scene.expect(status == 202 or is_through, f"{action} was answered {status}")

    async def settled(self, *, within: float) -> list[dict[str, Any]]:
        """The statuses once nothing is under way. Raises TimeoutError."""
        return [await controls.settled(self.scene, notification, within=within) for _, notification in self.calls]


def total(numbers: Sequence[dict[str, Any] | None]) -> dict[str, int]:
    """The sum of those fields that are numbers."""
    added: Counter[str] = Counter()
    for one in numbers:
        added.update({name: value for name, value in (one or {}).items() if isinstance(value, int)})
    return dict(added)
