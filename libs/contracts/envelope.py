"""What every message on the bus carries beside its body."""

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, Field

from libs.contracts.model import Model

TenantId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]

PLATFORM: TenantId = "platform"
"""The tenant of what belongs to no tenant yet: a carrier's report names only the carrier's own message id."""


class Message(Model):
    """A message on the bus. `TYPE` is its name on the wire; `key` is what keeps its order."""

    TYPE: ClassVar[str]

    type: str
    version: Annotated[int, Field(ge=1)] = 1
    event_id: UUID
    tenant: TenantId
    key: Annotated[str, Field(max_length=255)]
    occurred_at: AwareDatetime
    causation_id: UUID | None = None
