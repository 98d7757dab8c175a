import asyncio

import pytest
from pydantic import SecretStr

from libs.contracts.failures import Unavailable
from libs.web import add_health, application, health, require_internal_token


async def _fine() -> None:
    return None


async def _away() -> None:
    raise Unavailable("postgres: no answer in time")


async def _broken() -> None:
    raise KeyError("postgresql://u:hunter2@h")


async def _endless() -> None:
    await asyncio.Event().wait()


async def test_live_and_ready(listen) -> None:
    app = application()
    add_health(app, {"postgres": _fine})
    listening = await listen(app)
    assert (await listening.ask("GET", "/health/live")).json == {"status": "live"}
    ready = await listening.ask("GET", "/health/ready")
    assert (ready.status, ready.json) == (200, {"status": "ready"})


async def test_what_fails_is_named_with_its_reason(listen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_TIMEOUT", 0.05)
    app = application()
    add_health(app, {"postgres": _away, "kafka": _fine, "x": _broken, "slow": _endless})
    listening = await listen(app)
    ready = await listening.ask("GET", "/health/ready")
    assert ready.status == 503
    assert ready.json["failing"] == {
        "postgres": "postgres: no answer in time",
        "x": "KeyError",
        "slow": "no answer in time",
    }
    assert (await listening.ask("GET", "/health/live")).status == 200


async def test_metrics(listen) -> None:
    app = application()
    add_health(app, {})
    answer = await (await listen(app)).ask("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert b"carillon_http_requests_total" in answer.body
    assert b"python_gc_objects_collected_total" in answer.body


async def test_asking_often_costs_one_check_at_a_time(listen) -> None:
    gate = asyncio.Event()
    began = asyncio.Event()
    calls = 0

    async def check() -> None:
        nonlocal calls
        calls += 1
        began.set()
        await gate.wait()

    app = application()
    add_health(app, {"postgres": check})
    listening = await listen(app)
    first = asyncio.create_task(listening.ask("GET", "/health/ready"))
    await began.wait()
    others = [asyncio.create_task(listening.ask("GET", "/health/ready")) for _ in range(5)]
    await listening.ask("GET", "/health/live")
    gate.set()
    assert {answer.status for answer in await asyncio.gather(first, *others)} == {200}
    assert calls <= 2  # one more when an answer was on its way while the others came


async def test_the_internal_token(listen) -> None:
    app = application()
    app.middlewares.append(require_internal_token(SecretStr("s3cret")))
    add_health(app, {})
    listening = await listen(app)
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "s3cret"},
        {"Authorization": "Basic s3cret"},
    ):
        answer = await listening.ask("GET", "/things", headers=headers)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert (await listening.ask("GET", "/things", headers={"Authorization": "bearer s3cret"})).status == 404
    assert (await listening.ask("GET", "/health/ready")).status == 200
    assert (await listening.ask("GET", "/metrics")).status == 200


def test_an_empty_token_protects_nothing() -> None:
    with pytest.raises(ValueError, match="empty"):
        require_internal_token(SecretStr(""))
