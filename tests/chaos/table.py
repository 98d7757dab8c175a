"""The figures of all scenarios side by side. Pure."""

from collections.abc import Sequence

from tests.chaos.running import Result

HEAD = (
    *("scenario", "seed", "accepted", "refused", "unknown (arrived)", "lost", "exactly once", "duplicates (bound)"),
    *("in doubt", "repeats", "after cancel", "stuck", "recovery", "accept p50 / p99 in the fault", "slowest answer"),
    *("503", "verdict"),
)


def markdown(results: Sequence[Result]) -> str:
    """One line a scenario."""
    lines = [HEAD, ("---",) * len(HEAD), *(_line(result) for result in results)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _line(result: Result) -> tuple[str, ...]:
    figures = result.figures
    verdict = f"**broken** ({len(result.broken)})" if result.broken else "kept"
    if figures is None:
        return (result.scenario.name, str(result.seed), *([""] * (len(HEAD) - 3)), verdict)
    return (
        result.scenario.name,
        str(result.seed),
        str(figures.accepted),
        str(sum(figures.refused.values())),
        f"{figures.unknown} ({figures.unknown_arrived})",
        str(len(figures.lost)),
        f"{figures.share_once:.2f} %",
        f"{figures.duplicates} ({result.bound})",
        str(figures.in_doubt),
        str(figures.repeats),
        str(figures.after_cancel) if figures.cancelled_calls else "-",
        str(len(figures.stuck)),
        _seconds(figures.recovery),
        f"{_seconds(figures.accept_p50)} / {_seconds(figures.accept_p99)}",
        _seconds(figures.slowest_answer),
        str(sum(number for cause, number in figures.answers.items() if cause.startswith("503"))),
        verdict,
    )


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
