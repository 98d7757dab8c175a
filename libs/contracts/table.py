"""The topic table as people read it: `python -m libs.contracts.table` prints what the README shows."""

from libs.contracts.envelope import Message
from libs.contracts.topics import TOPICS, Topic


def markdown() -> str:
    """A Markdown table, a row a topic family, lanes folded into one row."""
    rows = ["| topic | message | from | to | partitions | kept |", "|---|---|---|---|---|---|"]
    families: dict[str, list[Topic[Message]]] = {}
    for topic in TOPICS:
        families.setdefault(topic.name.removesuffix(f".{topic.lane}"), []).append(topic)
    rows += [_row(name, topics) for name, topics in families.items()]
    return "\n".join(rows) + "\n"


def _row(name: str, topics: list[Topic[Message]]) -> str:
    first = topics[0]
    lanes = " " + ", ".join(f"`.{topic.lane}`" for topic in topics) if first.lane else ""
    partitions = ", ".join(str(topic.partitions) for topic in topics)
    producers, consumers = ", ".join(first.producers), ", ".join(first.consumers)
    kept = f"{first.retention.days} days"
    return f"| `{name}`{lanes} | {first.message.__name__} | {producers} | {consumers} | {partitions} | {kept} |"


if __name__ == "__main__":
    print(markdown(), end="")  # noqa: T201 - printing is what it is for
