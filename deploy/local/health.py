"""Asking a service whether it is ready."""

import asyncio
import json

CONNECT = 2.0


async def not_ready_because(port: int, *, within: float = 5.0) -> str | None:
    """Why the service on this loopback port is not ready, in its own words; None when it is."""
    try:
        async with asyncio.timeout(within):
            status, body = await _get(port, "/health/ready")
    except TimeoutError:
        return f"no answer within {within:g} s"
    except (OSError, ValueError):
        return "nothing listens on its port yet"
    return None if status == 200 else reason(body) or f"it answers {status}"


async def _get(port: int, path: str) -> tuple[int, bytes]:
    """A bare HTTP/1.0 request: the supervisor needs no client library for it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        answer = await reader.read(65536)
        while more := await reader.read(65536):
            answer += more
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1] if head else b""), body


def reason(body: bytes) -> str:
    """What a not-ready answer says: the failing checks by name, or its detail, or its text."""
    text = body.decode("utf-8", "replace").strip()
    try:
        answer = json.loads(text)
    except ValueError:
        return text[:300]
    if not isinstance(answer, dict):
        return text[:300]
    for key in ("failing", "checks"):
        failing = answer.get(key)
        if isinstance(failing, dict):
            return "; ".join(f"{name}: {why}" for name, why in failing.items())[:300]
    return str(answer.get("detail") or text)[:300]
