"""The passwords and keys of one platform: made once, kept readable for their owner only."""

import json
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from deploy.local.files import write_json
from deploy.local.trouble import Trouble


@dataclass(frozen=True)
class Secrets:
    """Each an unguessable text of URL-safe characters, so none needs quoting anywhere."""

    postgres: str
    gateway: str
    ingest: str
    audience: str
    scheduler: str
    dispatch: str
    tracker: str
    reader: str
    internal_token: str
    gateway_pepper: str
    carrier_key: str
    receipt_secret: str
    signing_key: str

    def __repr__(self) -> str:
        return "Secrets(...)"


def load(path: Path, *, database_exists: bool) -> Secrets:
    """Read the platform's secrets, or make them when there is nothing yet that was made with them.

    Raises Trouble when a database exists whose passwords are lost.
    """
    names = {field.name for field in fields(Secrets)}
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(known, dict) or not all(isinstance(value, str) for value in known.values()):
            raise ValueError
    except (OSError, ValueError):
        if database_exists:
            raise Trouble(
                f"{path} is missing or damaged and the database cannot be opened without it: restore it, "
                f"or delete {path.parent} to begin anew"
            ) from None
        known = {}
    merged = {name: known.get(name) or secrets.token_urlsafe(24) for name in sorted(names)}
    if merged != known:
        write_json(path, merged, mode=0o600)
    return Secrets(**merged)


def as_dict(known: Secrets) -> dict[str, str]:
    return asdict(known)
