"""Which promises the figures break. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.figures import Figures

EXAMPLES = 5


@dataclass(frozen=True)
class Allowed:
    """What a scenario promises. `duplicates` was fixed before it ran, besides those of messages that a carrier took
    without saying so; with `answer_within` (seconds) every request is answered, and so soon. `after_cancel` is what may
    leave once a cancel has taken effect: what was claimed."""

    duplicates: int = 0
    after_cancel: int = 0
    statuses: frozenset[str] = frozenset()
    recovery: float = 30.0
    answer_within: float | None = None


def judge(figures: Figures, allowed: Allowed) -> list[str]:
    """Every promise that the figures break, in words."""
    broken = []
    if figures.lost:
        broken.append(f"{len(figures.lost)} lost: {_some(figures.lost)}")
    if figures.duplicates > allowed.duplicates + figures.in_doubt:
        bound = f"{allowed.duplicates} and {figures.in_doubt} that were in doubt"
        broken.append(f"{figures.duplicates} duplicates, at most {bound} were allowed")
    if figures.strangers:
        broken.append(f"{figures.strangers} went to another carrier though the first may have had them")
    if figures.after_cancel > allowed.after_cancel:
        broken.append(f"{figures.after_cancel} left after a cancel, at most {allowed.after_cancel} were allowed")
    if figures.replayed_otherwise:
        broken.append(f"{figures.replayed_otherwise} calls were answered in different words")
    if figures.phantoms:
        broken.append(f"{len(figures.phantoms)} arrived that nobody was to get: {_some(figures.phantoms)}")
    if figures.stuck:
        broken.append(f"{len(figures.stuck)} notifications are not final: {_some(figures.stuck)}")
    if figures.contradictions:
        broken.append(f"{len(figures.contradictions)} contradictions: {_some(figures.contradictions)}")
    if figures.recovery is not None and figures.recovery > allowed.recovery:
        broken.append(f"recovery took {figures.recovery:.1f} s, {allowed.recovery:g} s were allowed")
    if figures.slow_answers:
        broken.append(
            f"{figures.slow_answers} answers took longer than {allowed.answer_within:g} s, "
            f"the slowest {figures.slowest_answer:.1f} s"
        )
    if allowed.answer_within is not None and figures.unanswered:
        broken.append(f"{figures.unanswered} requests were not answered: {dict(figures.answers)}")
    if figures.accepted_while_down:
        broken.append(f"{figures.accepted_while_down} calls were accepted while nothing could be")
    if wrong := {cause: number for cause, number in figures.answers.items() if _is_wrong(cause, allowed)}:
        broken.append(f"answers that no caller should get: {wrong}")
    if not figures.accepted:
        broken.append("nothing was accepted: this run proves nothing")
    return broken


def _is_wrong(cause: str, allowed: Allowed) -> bool:
    """A status that neither the load nor the fault explains."""
    status = cause.partition(" ")[0]
    return status.isdecimal() and status not in {"200", "201", "202", "409", "429", "503"} | allowed.statuses


def _some(things: Sequence[object]) -> str:
    shown = ", ".join(str(thing) for thing in things[:EXAMPLES])
    return shown if len(things) <= EXAMPLES else f"{shown}, ..."
