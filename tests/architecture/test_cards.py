"""A service's card (its package docstring) says what it consumes and publishes: the topic table's words, no others."""

import importlib
import re
from pathlib import Path

import pytest

from libs.contracts.routing import Channel
from libs.contracts.topics import DISPATCHERS, TOPICS

ROOT = Path(__file__).parents[2]
# The card of the dispatchers speaks for every channel.
PROCESSES = {"dispatchers": DISPATCHERS}
SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/__init__.py"))
ANATOMY = {"sandbox": ("app.py",), "gateway": ("app.py", "repository.py", "routes.py")}
FULL_ANATOMY = ("app.py", "handlers.py", "repository.py", "routes.py")


def card(service: str) -> str:
    return importlib.import_module(f"services.{service}").__doc__ or ""


def listed(service: str, heading: str) -> set[str]:
    """The topics on the card's line `heading` and its continuation lines, without remarks in brackets."""
    found = re.search(rf"^{heading} +(.+(?:\n {{4,}}.+)*)", card(service), re.MULTILINE)
    if not found:
        return set()
    words = re.sub(r"\([^)]*\)", "", found.group(1))
    return {word.strip() for word in words.replace("\n", " ").split(",") if "." in word}


def in_table(service: str, *, role: str) -> set[str]:
    names = PROCESSES.get(service, (service,))
    topics = [topic for topic in TOPICS if set(names) & set(getattr(topic, role))]
    bare = {topic.name.removesuffix(f".{topic.lane}") for topic in topics}
    # A card names the family, not each member.
    family = {f"send.{channel}" for channel in Channel}
    return {"send.<channel>" if name in family else name for name in bare}


@pytest.mark.parametrize("service", SERVICES)
def test_the_card_lists_what_the_table_says(service: str) -> None:
    assert listed(service, "Consumes") == in_table(service, role="consumers")
    assert listed(service, "Publishes") == in_table(service, role="producers")


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_the_same_anatomy(service: str) -> None:
    folder = ROOT / "services" / service
    expected = ANATOMY.get(service, FULL_ANATOMY)
    missing = [
        name for name in expected if not (folder / name).exists() and not (folder / name.removesuffix(".py")).is_dir()
    ]
    assert not missing


@pytest.mark.parametrize("service", [name for name in SERVICES if name != "sandbox"])
def test_migrations_are_numbered_without_gaps(service: str) -> None:
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "services" / service / "migrations").glob("*.sql"))
    assert numbers == list(range(1, len(numbers) + 1))
