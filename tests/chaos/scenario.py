"""What a scenario is: a platform, a load, what is broken, and what is promised meanwhile."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.carriers import CarrierMode
from tests.chaos.checker import Allowed
from tests.chaos.figures import Figures
from tests.chaos.load import Load
from tests.chaos.platform import Routes
from tests.chaos.scene import Scene

# The published bound on duplicates, fixed before the run: what a dispatcher may hold claimed. Smaller than the default,
# so that it means something with the few messages of a scenario.
WINDOW = 1000
SETTINGS: Mapping[str, str] = {"DISPATCHER_SMS_WINDOW_TOTAL": str(WINDOW)}
DISPATCHER = "dispatcher-sms"
PROMISED_ANSWER = 3.0


def nothing_besides(figures: Figures) -> Sequence[str]:
    """No promise of a scenario's own."""
    return ()


@dataclass(frozen=True)
class Scenario:
    """`fault` breaks and mends. `spared` is whether nothing but what was broken may have been started again by then,
    `answers` whether every request is answered within three seconds. The bound on duplicates is `per_hit` for each
    signal to a dispatcher. Where it does not `settles`, something of another tenant stays open and the books are not
    looked at. `besides` says which promises of its own the figures break."""

    name: str
    what: str
    fault: Callable[[Scene], Awaitable[None]]
    carriers: Sequence[CarrierMode] = (CarrierMode(),)
    routes: Routes | None = None
    load: Load = field(default_factory=Load)
    spared: bool = False
    settles: bool = True
    answers: bool = False
    per_hit: int = WINDOW
    after_cancel: int = WINDOW
    recovery: float = 30.0
    final_within: float = 120.0
    statuses: frozenset[str] = frozenset()
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)
    besides: Callable[[Figures], Sequence[str]] = nothing_besides

    def allowed(self, hits: Mapping[str, int]) -> Allowed:
        """What is promised after so many signals to each process."""
        dispatchers = sum(number for name, number in hits.items() if name.startswith(DISPATCHER))
        return Allowed(
            duplicates=self.per_hit * dispatchers,
            after_cancel=self.after_cancel,
            statuses=self.statuses,
            recovery=self.recovery,
            answer_within=PROMISED_ANSWER if self.answers else None,
        )
