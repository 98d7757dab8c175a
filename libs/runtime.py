"""A process: settings, logs, start in order, stop in reverse, and an end when a part of it dies."""

import argparse
import asyncio
import gc
import logging
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn

import uvloop

from libs import telemetry
from libs.contracts.failures import Unavailable
from libs.settings import Settings, SettingsError, describe, load
from libs.storage import MigrationError
from libs.telemetry import TelemetrySettings

logger = logging.getLogger(__name__)

Serve = Callable[[AsyncExitStack], Awaitable[None]]

STOP_TIMEOUT = 20.0
RETRY_FIRST = 0.25
RETRY_LONGEST = 5.0
REPEAT_BACKOFF_LONGEST = 10.0

EXIT_DIED = 1
EXIT_SETTINGS = 2

_died: ContextVar["asyncio.Future[str] | None"] = ContextVar("died", default=None)


def main(
    service: str,
    *,
    card: str,
    settings: Sequence[type[Settings]],
    serve: Serve,
    argv: Sequence[str] | None = None,
) -> NoReturn:
    """Run `service` until SIGTERM or SIGINT, then exit 0.

    `serve` starts everything in order and pushes what stops it on the stack; it is called again when it raises
    Unavailable. `argv` (the process's own unless given) is without the program's name. Exit 2: settings are wrong;
    exit 1: the start failed for good, or a part died and the supervisor has to start the process again.
    """
    kinds: list[type[Settings]] = list(dict.fromkeys((*settings, TelemetrySettings)))
    arguments = _parser(service, card, kinds).parse_args(argv)
    try:
        for kind in kinds:
            load(kind)
    except SettingsError as error:
        print(f"{service}: {error}", file=sys.stderr)  # noqa: T201 - before there are logs
        sys.exit(EXIT_SETTINGS)
    if arguments.check_settings:
        sys.exit(0)
    running = telemetry.setup(service, load(TelemetrySettings))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            code = runner.run(_live(serve))
    finally:
        running.close()
    sys.exit(code)


def background(stack: AsyncExitStack, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
    """Run a service's loop beside everything else; it is cancelled and awaited when `stack` unwinds.

    An unexpected exception is logged and ends the process with exit 1. Returning is no failure.
    """
    task = asyncio.create_task(_watched(work, name), name=name)
    stack.push_async_callback(_cancel, task)


def repeat(stack: AsyncExitStack, work: Callable[[], Awaitable[bool | None]], name: str, *, pause: float) -> None:
    """`background` for polls: call `work` again and again, after `pause` seconds unless it answers True (more to do).

    Unavailable is logged and backs off up to 10 s; anything else ends the process.
    """

    async def loop() -> None:
        delays = _backoff(max(pause, RETRY_FIRST), REPEAT_BACKOFF_LONGEST)
        while True:
            try:
                has_more = await work()
            except Unavailable as error:
                delay = next(delays)
                logger.warning("waiting", extra={"task": name, "reason": str(error), "retry_in_s": round(delay, 2)})
                await asyncio.sleep(delay)
                continue
            delays = _backoff(max(pause, RETRY_FIRST), REPEAT_BACKOFF_LONGEST)
            await asyncio.sleep(0 if has_more else pause)

    background(stack, loop, name)


async def _live(serve: Serve) -> int:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_loop_error)
    stop = asyncio.Event()
    died: asyncio.Future[str] = loop.create_future()
    _died.set(died)
    with _signals(loop, stop):
        starting = asyncio.create_task(_start(serve), name="start")
        stopping = asyncio.create_task(stop.wait(), name="signals")
        await _first_of(starting, stopping, died)
        stack = await _finish_start(starting)
        if stack is not None and not stop.is_set() and not died.done():
            gc.collect()
            gc.freeze()  # what the start made stays: later collections need not walk through it
            gc.set_threshold(10_000, 20, 50)
            logger.info("started")
            await _first_of(stopping, died)
        stopping.cancel()
        if stack is not None:
            await _unwind(stack)
    if died.done():
        logger.error("ended because a part died", extra={"task": died.result()})
        return EXIT_DIED
    if stack is None and not stop.is_set():
        return EXIT_DIED
    logger.info("stopped")
    return 0


async def _first_of(*futures: "asyncio.Future[Any]") -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


async def _start(serve: Serve) -> AsyncExitStack:
    """Start everything, again and again while something is Unavailable."""
    delays = _backoff(RETRY_FIRST, RETRY_LONGEST)
    while True:
        stack = AsyncExitStack()
        try:
            await serve(stack)
        except Unavailable as error:
            delay = next(delays)
            logger.warning("start waits", extra={"reason": str(error), "retry_in_s": round(delay, 2)})
            await _unwind(stack)
            await asyncio.sleep(delay)
        except BaseException:
            await _unwind(stack)
            raise
        else:
            return stack


async def _finish_start(starting: "asyncio.Task[AsyncExitStack]") -> AsyncExitStack | None:
    """What was started; None when a signal came first or the start failed for good."""
    if not starting.done():
        starting.cancel()
    try:
        return await starting
    except asyncio.CancelledError:
        return None
    except (SettingsError, MigrationError) as error:
        logger.error("cannot start", extra={"reason": str(error)})
    except Exception:
        logger.exception("cannot start")
    return None


async def _unwind(stack: AsyncExitStack) -> None:
    """Stop everything in reverse; whoever does not come to an end is left behind."""
    closing = asyncio.create_task(stack.aclose(), name="stop")
    done, _ = await asyncio.wait({closing}, timeout=STOP_TIMEOUT)
    if not done:
        logger.error("stopping took too long, leaving now")
        logging.shutdown()
        os._exit(EXIT_DIED)
    if (error := closing.exception()) is not None:
        logger.error("stopping failed", exc_info=error)


async def _watched(work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
    try:
        await work()
    except Exception:
        logger.exception("a part died", extra={"task": name})
        died = _died.get()
        if died is None:
            raise  # no process around it (a test): whoever unwinds the stack sees it
        if not died.done():
            died.set_result(name)


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        current = asyncio.current_task()
        if current is not None and current.cancelling():
            raise


@contextmanager
def _signals(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> Iterator[None]:
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def _backoff(first: float, longest: float) -> Iterator[float]:
    """Doubling waits with jitter, so that replicas do not come back in step."""
    delay = first
    while True:
        yield delay * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        delay = min(delay * 2, longest)


def _log_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    logger.error("unhandled in the loop: %s", context.get("message"), exc_info=error)


def _parser(service: str, card: str, kinds: Sequence[type[Settings]]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=service,
        description=card.strip(),
        epilog=_settings_manual(kinds),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check-settings", action="store_true", help="read the settings, then exit 0 or 2")
    return parser


def _settings_manual(kinds: Sequence[type[Settings]]) -> str:
    lines = ["settings (environment variables):"]
    for kind in kinds:
        for setting in describe(kind):
            notes = ["required"] * setting.required + ["secret"] * setting.secret
            value = f"={setting.default}" if not notes else f"   ({', '.join(notes)})"
            lines.append(f"  {setting.name}{value}")
    return "\n".join(lines)
