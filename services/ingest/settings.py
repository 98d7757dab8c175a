"""What ingest can be told."""

from typing import Annotated, ClassVar

from pydantic import Field, SecretStr

from libs.contracts.routing import Lane
from libs.settings import Settings


class IngestSettings(Settings):
    """Ingest's own settings. `lanes` are those this process serves."""

    PREFIX: ClassVar[str] = "INGEST_"

    database: SecretStr
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8081
    instance: Annotated[str, Field(min_length=1, max_length=64)] = "1"
    lanes: Annotated[tuple[Lane, ...], Field(min_length=1)] = (Lane.URGENT, Lane.BULK)
    batch_records: Annotated[int, Field(ge=1, le=1000)] = 200
    connections: Annotated[int, Field(ge=2, le=20)] = 6
