"""Errors as values that are raised: one exception, whatever form an API gives them."""

from collections.abc import Mapping

from libs.wire.json_values import JsonValue


class Problem(Exception):  # noqa: N818 - named after the document it becomes
    """An answer that is not the one asked for. `code` is a stable slug; `detail` is for the caller to read and
    repeats nothing secret; `extra` are further members of the document."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, JsonValue] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.headers: Mapping[str, str] = headers or {}
        self.extra: Mapping[str, JsonValue] = extra or {}
