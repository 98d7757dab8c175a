"""Runs what cannot be trusted to return."""

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


def run_bounded(work: Callable[[], object], seconds: float) -> bool:
    """Call `work` on a thread and wait at most `seconds`; whether it finished. The thread never holds up the exit."""

    def quietly() -> None:
        try:
            work()
        except Exception:
            logger.exception("telemetry could not be closed")

    thread = threading.Thread(target=quietly, name="bounded", daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()
