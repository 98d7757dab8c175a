"""How much one process takes on at once: requests being worked on, bodies being waited for, bytes held."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from libs.wire import Problem

WAITING_PER_WORKING = 8
MAX_BODY_BYTES = 256 * 1024 * 1024  # all bodies held at one time


class Admission:
    """The process's counts. Waiting for a slow body holds no place among the working."""

    def __init__(self, max_concurrent: int, *, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._max_working = max_concurrent
        self._max_waiting = max_concurrent * WAITING_PER_WORKING
        self._max_body_bytes = max_body_bytes
        self.working = 0
        self.waiting = 0
        self.body_bytes = 0

    @contextmanager
    def slot(self) -> Iterator["Slot"]:
        """A place among the working, for one request. Raises Problem 503."""
        slot = Slot(self)
        self._enter()
        try:
            yield slot
        finally:
            self.body_bytes -= slot.body_bytes
            if slot.is_working:
                self.working -= 1

    def _enter(self) -> None:
        if self.working >= self._max_working:
            raise _overloaded()
        self.working += 1

    def _reserve(self, size: int) -> None:
        if self.body_bytes + size > self._max_body_bytes:
            raise _overloaded()
        self.body_bytes += size

    def _wait(self) -> None:
        if self.waiting >= self._max_waiting:
            raise _overloaded()
        self.waiting += 1
        self.working -= 1


class Slot:
    """One request's place."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.is_working = True
        self.body_bytes = 0

    def hold(self, size: int) -> None:
        """Account for `size` more bytes until the request is answered. Raises Problem 503."""
        self._admission._reserve(size)
        self.body_bytes += size

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Give the place away while waiting for the caller. Raises Problem 503, at the end as well."""
        self._admission._wait()
        self.is_working = False
        try:
            yield
        finally:
            self._admission.waiting -= 1
        self._admission._enter()
        self.is_working = True


SLOT = web.RequestKey("slot", Slot)


def _overloaded() -> Problem:
    return Problem(503, "overloaded", "Too many requests at once; try again.", headers={"Retry-After": "1"})
