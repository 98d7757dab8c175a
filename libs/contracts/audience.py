"""To whom: the ways a caller can name recipients."""

from typing import Annotated, Literal

from pydantic import Field

from libs.contracts.content import Sha256
from libs.contracts.model import Model

MAX_LISTED = 100_000
ClientId = Annotated[int, Field(ge=0, le=2**63 - 1, strict=True)]
# An e-mail address has at most 320 characters, an address of the web at most 2,048.
Address = Annotated[str, Field(min_length=1, max_length=2048)]


class ClientIds(Model):
    """People by their ids in the tenant's own books; each once, in the caller's order."""

    kind: Literal["client_ids"] = "client_ids"
    client_ids: Annotated[tuple[ClientId, ...], Field(min_length=1, max_length=MAX_LISTED)]


class Addresses(Model):
    """Contacts given by address: phone numbers in E.164 for SMS and Viber, URLs for webhooks."""

    kind: Literal["addresses"] = "addresses"
    addresses: Annotated[tuple[Address, ...], Field(min_length=1, max_length=MAX_LISTED)]


class StoredAudience(Model):
    """A long list that ingest keeps under its hash: the JSON of one of the kinds above."""

    kind: Literal["stored"] = "stored"
    sha256: Sha256
    size: Annotated[int, Field(gt=0)]
    count: Annotated[int, Field(gt=0, le=MAX_LISTED)]


InlineAudience = Annotated[ClientIds | Addresses, Field(discriminator="kind")]
Audience = Annotated[ClientIds | Addresses | StoredAudience, Field(discriminator="kind")]
