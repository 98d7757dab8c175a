"""What ingest can be told."""

from typing import Annotated, ClassVar

from pydantic import Field

from libs.settings import EVERY_LANE, Port, ServedLanes, ServiceSettings


class IngestSettings(ServiceSettings):
    """Ingest's own settings. `lanes` are those this process serves."""

    PREFIX: ClassVar[str] = "INGEST_"

    port: Port = 8081
    lanes: ServedLanes = EVERY_LANE
    batch_records: Annotated[int, Field(ge=1, le=1000)] = 200
    pool_size: Annotated[int, Field(ge=2, le=20)] = 6
