"""What the gateway itself owns and can be asked for: the secrets that callers verify webhooks with."""

from collections.abc import Mapping

from libs.signing import SigningSettings, secret_text, tenant_keys
from libs.wire import JsonValue


class SigningSecrets:
    """Answers like an owner's internal HTTP."""

    def __init__(self, settings: SigningSettings) -> None:
        self._masters = settings.master_keys()

    async def get_json(
        self, path: str, *, params: Mapping[str, str] | None = None, within: float = 1.0
    ) -> tuple[int, JsonValue]:
        """The tenant's secrets, the newest first."""
        secrets: list[JsonValue] = [secret_text(key) for key in tenant_keys(self._masters, (params or {})["tenant"])]
        return 200, {"secrets": secrets}

    async def post_json(
        self, path: str, value: JsonValue, *, params: Mapping[str, str] | None = None, within: float = 2.0
    ) -> tuple[int, JsonValue]:
        """There is nothing to decide here."""
        return 404, None
