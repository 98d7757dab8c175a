"""Class, constant and topic are the same words, so that a reader who knows one can guess the others."""

import re

import pytest

from libs.contracts import topics
from libs.contracts.envelope import Message
from libs.contracts.routing import Channel
from libs.contracts.topics import TOPICS, Lanes, Topic

CONSTANTS: dict[str, Topic[Message] | Lanes[Message]] = {
    name: value for name, value in vars(topics).items() if isinstance(value, Topic | Lanes)
}
# A family of topics that carry one class: send.<channel> carries SendDeliveries.
FAMILIES = {f"send.{channel}": "send.deliveries" for channel in Channel}


def family(value: Topic[Message] | Lanes[Message]) -> str:
    return value.urgent.name.removesuffix(".urgent") if isinstance(value, Lanes) else value.name


def topics_of(value: Topic[Message] | Lanes[Message]) -> tuple[Topic[Message], ...]:
    return tuple(value) if isinstance(value, Lanes) else (value,)


@pytest.mark.parametrize("constant", CONSTANTS)
def test_the_constant_spells_the_topic(constant: str) -> None:
    assert constant == family(CONSTANTS[constant]).replace(".", "_").upper()


@pytest.mark.parametrize("constant", CONSTANTS)
def test_the_class_spells_the_message(constant: str) -> None:
    name = family(CONSTANTS[constant])
    for topic in topics_of(CONSTANTS[constant]):
        spelled = re.sub(r"(?<!^)(?=[A-Z])", ".", topic.message.__name__).lower()
        assert spelled == topic.message.TYPE == FAMILIES.get(name, name)


def test_the_table_is_complete_and_names_are_unique() -> None:
    declared = [topic.name for value in CONSTANTS.values() for topic in topics_of(value)]
    assert sorted(declared) == sorted(topic.name for topic in TOPICS)
    assert len(set(declared)) == len(declared)


def test_a_lane_is_the_suffix_of_its_topic() -> None:
    for topic in TOPICS:
        assert topic.lane is None or topic.name.endswith(f".{topic.lane}")


def test_commands_have_lanes_and_events_have_none() -> None:
    verbs = ("send", "expand", "control")
    for topic in TOPICS:
        assert (topic.lane is not None) == topic.name.startswith(verbs)
