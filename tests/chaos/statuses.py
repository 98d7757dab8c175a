"""How to read GET /notifications/{id}. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OPEN_STATES = frozenset({"queued", "sending", "retrying", "unknown", "sent", "on_phone"})
# States a delivery never leaves, but for the carrier's own correction of "not delivered".
LASTING = frozenset({"delivered", "carrier_rejected", "no_funds", "failed", "expired", "cancelled"})


@dataclass(frozen=True)
class Told:
    """The last answer of GET /notifications/{id}; `final_at` is when it was first final."""

    answer: Mapping[str, Any] = field(default_factory=dict)
    final_at: float | None = None


def is_final(answer: Mapping[str, Any]) -> bool:
    """Whether a notification's status says that nothing more will happen to it."""
    if answer.get("state") == "rejected":
        return True
    counts = answer.get("counts", {})
    return bool(answer.get("totals_known")) and not any(counts.get(state, 0) for state in OPEN_STATES)


def contradiction(answer: Mapping[str, Any], count: int, *, stopped: bool = False) -> str | None:
    """What does not add up in a status of a notification to `count` addresses, none of them to be left out. One that
    was `stopped` may have been planned in part only."""
    counts = answer.get("counts", {})
    if any(number < 0 for number in counts.values()):
        return f"negative: {counts}"
    if not answer.get("totals_known"):
        return None
    if answer["planned"] != sum(counts.values()):
        return f"planned {answer['planned']} of {counts}"
    asked = (answer["planned"], answer["suppressed"])
    if asked != (count, 0) and not (stopped and answer["planned"] <= count and answer["suppressed"] == 0):
        return f"planned {answer['planned']}, suppressed {answer['suppressed']} of {count}"
    return _of_control(answer, counts)


def _of_control(answer: Mapping[str, Any], counts: Mapping[str, int]) -> str | None:
    """A cancel's three numbers are all there is, once nothing is under way."""
    control = answer.get("control") or {}
    if control.get("gate") != "cancelled" or not is_final(answer):
        return None
    told = {name: control.get(name, 0) for name in ("sent_before", "slipped", "stopped")}
    if sum(told.values()) != answer["planned"] or told["stopped"] != counts.get("cancelled", 0):
        return f"{told} of {answer['planned']} planned, {counts}"
    return None


def regression(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """What was final in one answer and is no more in a later one."""
    old, new = before.get("counts", {}), after.get("counts", {})
    fewer = {state: (old[state], new.get(state, 0)) for state in LASTING & old.keys() if new.get(state, 0) < old[state]}
    if fewer:
        return f"no longer final: {fewer}"
    lost = old.get("not_delivered", 0) - new.get("not_delivered", 0)
    if lost > new.get("delivered", 0) - old.get("delivered", 0):
        return f"{lost} are not delivered no longer, {old} became {new}"
    return None
