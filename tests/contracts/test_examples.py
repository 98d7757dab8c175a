"""Every shape ever released keeps an example here and must parse for ever: examples are added, never edited."""

import json
from pathlib import Path
from typing import Any

import pytest

from libs.contracts.envelope import Message
from libs.contracts.topics import TOPICS, Topic

EXAMPLES = Path(__file__).parent / "examples"


def family(topic: Topic[Message]) -> str:
    """A command's two lanes carry the same messages and share one folder."""
    return topic.name.removesuffix(f".{topic.lane}") if topic.lane else topic.name


FAMILIES = {family(topic): topic for topic in TOPICS}
STORED = sorted(EXAMPLES.glob("*/*/*.json"))


def contains(larger: Any, smaller: Any) -> bool:
    """Whether everything in `smaller` is in `larger`: fields may have come since, none may have gone or changed."""
    if isinstance(smaller, dict):
        return isinstance(larger, dict) and all(k in larger and contains(larger[k], v) for k, v in smaller.items())
    if isinstance(smaller, list):
        return isinstance(larger, list) and len(larger) == len(smaller) and all(map(contains, larger, smaller))
    return bool(larger == smaller)


@pytest.mark.parametrize("path", STORED, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_an_example_parses_and_keeps_all_it_says(path: Path) -> None:
    model = FAMILIES[path.parent.parent.name].message
    parsed = model.model_validate_json(path.read_bytes())
    assert contains(json.loads(parsed.model_dump_json()), json.loads(path.read_bytes()))
    assert model.model_validate_json(parsed.model_dump_json()) == parsed


@pytest.mark.parametrize("path", STORED, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_an_example_stands_in_the_folder_of_its_version(path: Path) -> None:
    assert str(json.loads(path.read_bytes())["version"]) == path.parent.name


@pytest.mark.parametrize("path", STORED, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_a_field_from_the_future_is_passed_over(path: Path) -> None:
    model = FAMILIES[path.parent.parent.name].message
    document = json.loads(path.read_bytes())
    assert model.model_validate({**document, "from_the_future": 1}) == model.model_validate(document)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_topic_has_an_example(name: str) -> None:
    assert list((EXAMPLES / name / "1").glob("*.json"))


def test_no_example_belongs_to_no_topic() -> None:
    assert {path.parent.parent.name for path in STORED} == set(FAMILIES)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_field_is_seen_filled_in_some_example(name: str) -> None:
    """A field that no example fills could change its meaning unnoticed."""
    documents = [json.loads(path.read_bytes()) for path in (EXAMPLES / name).glob("*/*.json")]
    filled = {field for document in documents for field, value in document.items() if value is not None}
    first_of_its_chain = {"causation_id"} if name == "send.notification" else set()
    assert set(FAMILIES[name].message.model_fields) <= filled | first_of_its_chain
