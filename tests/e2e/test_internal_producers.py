"""An internal system sends by a record on a Kafka topic, as the README shows it."""

import asyncio
import json
import re
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("platform")]
README = (Path(__file__).parents[2] / "README.md").read_text()


def example(text: str) -> dict[str, Any]:
    """The README's record with an id and words of its own, due at once."""
    (found,) = re.findall(r"^```json\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    record: dict[str, Any] = json.loads(found)
    del record["at"]
    return record | {"id": uuid4().hex, "content": {"text": text}}


async def write(platform: Any, lane: str, *records: dict[str, Any]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=platform.endpoints["kafka"], acks="all") as producer:
        for record in records:
            await producer.send_and_wait(f"send.notification.{lane}", json.dumps(record).encode())


async def arrived(platform: Any, text: str, *, within: float = 30) -> int:
    """How many messages with `text` the carrier has, once there is one."""
    deadline = time.monotonic() + within
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{platform.sandbox}/messages", params={"contains": text}) as response:
                total: int = (await response.json())["total"]
            if total or time.monotonic() > deadline:
                return total
            await asyncio.sleep(0.1)


async def test_the_readme_s_record_arrives_once_however_often_it_is_written(platform: Any) -> None:
    text = f"ready {uuid4().hex}"
    record = example(text)
    await write(platform, "urgent", record, record)
    assert await arrived(platform, text) == 1
    await write(platform, "urgent", record)
    await asyncio.sleep(2)
    assert await arrived(platform, text) == 1


async def test_a_cloud_event_arrives(platform: Any) -> None:
    text = f"cloud {uuid4().hex}"
    record = example(text)
    envelope = {"specversion": "1.0", "id": uuid4().hex, "source": "/shop", "type": "order.ready", "data": record}
    await write(platform, "bulk", envelope)
    assert await arrived(platform, text) == 1


async def test_a_bad_record_holds_up_nobody(platform: Any) -> None:
    text = f"neighbour {uuid4().hex}"
    bad = example(text) | {"content": {"txt": "misspelt"}}
    await write(platform, "urgent", bad, example(text))
    assert await arrived(platform, text) == 1
