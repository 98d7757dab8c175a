"""The topic table agrees with itself."""

from libs.contracts.routing import Lane
from libs.contracts.topics import EXPAND_AUDIENCE, TOPICS


def test_every_topic_has_one_name() -> None:
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)


def test_a_command_exists_once_per_lane() -> None:
    lanes = [topic for topic in TOPICS if topic.lane]
    for topic in lanes:
        assert topic.name.endswith(f".{topic.lane}")
        other = Lane.BULK if topic.lane is Lane.URGENT else Lane.URGENT
        twin = topic.name.removesuffix(topic.lane) + other
        assert [found.message for found in lanes if found.name == twin] == [topic.message]


def test_a_pair_of_lanes_is_indexed_by_lane() -> None:
    assert EXPAND_AUDIENCE[Lane.URGENT].lane is Lane.URGENT
    assert EXPAND_AUDIENCE[Lane.BULK].lane is Lane.BULK


def test_every_topic_has_somebody_on_both_sides() -> None:
    assert all(topic.producers and topic.consumers for topic in TOPICS)
