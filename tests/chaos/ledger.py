"""An append-only file of JSON lines: what is in it was said before anything followed from it."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Entry = Mapping[str, Any]


class Ledger:
    """Written with one system call per `write`: killing the writer loses nothing that was written."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def write(self, entries: Iterable[Entry]) -> None:
        """Add the entries, all together."""
        rest = memoryview("".join(json.dumps(entry, separators=(",", ":")) + "\n" for entry in entries).encode())
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Every entry, oldest first; a last line that was not finished is left out."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                yield json.loads(line)


class Tail:
    """What is added to a ledger, read piece by piece."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0

    def fresh(self) -> list[dict[str, Any]]:
        """The entries since the last time; one that is not finished comes later."""
        with self._path.open("rb") as content:
            content.seek(self._position)
            whole, _, _ = content.read().rpartition(b"\n")
        if not whole:
            return []
        self._position += len(whole) + 1
        return [json.loads(line) for line in whole.split(b"\n")]
