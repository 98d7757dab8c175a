"""Files that are either whole or not there."""

import json
import os
from pathlib import Path
from typing import Any


def write_whole(path: Path, content: str, *, mode: int = 0o644) -> None:
    """Replace `path` in one step: a reader sees the old content or the new, a full disk leaves the old."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
            file.write(content)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: object, *, mode: int = 0o644) -> None:
    write_whole(path, json.dumps(value, indent=1) + "\n", mode=mode)


def read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in `path`, None when the file is not there or is not one (half-written by a power cut)."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
