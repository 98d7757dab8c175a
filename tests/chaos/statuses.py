"""How to read GET /notifications/{id}. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OPEN_STATES = frozenset({"queued", "sending", "retrying", "unknown", "sent", "on_phone"})


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


def contradiction(answer: Mapping[str, Any], count: int) -> str | None:
    """What does not add up in a status of a notification to `count` addresses, none of them to be left out."""
    counts = answer.get("counts", {})
    if any(number < 0 for number in counts.values()):
        return f"negative: {counts}"
    if not answer.get("totals_known"):
        return None
    if answer["planned"] != sum(counts.values()):
        return f"planned {answer['planned']} of {counts}"
    if (answer["planned"], answer["suppressed"]) != (count, 0):
        return f"planned {answer['planned']}, suppressed {answer['suppressed']} of {count}"
    return None
