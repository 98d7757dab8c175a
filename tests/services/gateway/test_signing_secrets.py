"""The secrets that callers verify webhooks with."""

from pydantic import SecretStr

from libs.signing import SigningSettings, sign, tenant_keys, verifies
from services.gateway.signing_secrets import SigningSecrets

OLD, NEW = "o" * 32, "n" * 32


async def secrets(settings: SigningSettings, tenant: str) -> list[str]:
    status, found = await SigningSecrets(settings).get_json("/signing-secret", params={"tenant": tenant})
    assert status == 200
    assert isinstance(found, dict)
    listed = found["secrets"]
    assert isinstance(listed, list)
    return [str(one) for one in listed]


async def test_what_is_signed_for_a_tenant_verifies_with_its_secrets_alone() -> None:
    settings = SigningSettings(key=SecretStr(NEW), previous_key=SecretStr(OLD))
    ours, theirs = await secrets(settings, "demo"), await secrets(settings, "other")
    assert len(set(ours) | set(theirs)) == 4
    signature = sign(tenant_keys(settings.master_keys(), "demo"), "id", 1, b"body")
    for secret in ours:
        assert verifies([secret], "id", "1", b"body", signature)
    assert not verifies(theirs, "id", "1", b"body", signature)


async def test_one_key_is_one_secret_and_it_is_none_of_the_platform_s() -> None:
    (only,) = await secrets(SigningSettings(key=SecretStr(NEW)), "demo")
    assert only.startswith("whsec_")
    assert NEW not in only
