"""The settings of the audience service."""

from typing import ClassVar

from libs.settings import EVERY_LANE, Port, ServedLanes, ServiceSettings


class AudienceSettings(ServiceSettings):
    """`database` is a Postgres DSN whose role owns the schema audience. `lanes` are those this process serves."""

    PREFIX: ClassVar[str] = "AUDIENCE_"

    port: Port = 8083
    lanes: ServedLanes = EVERY_LANE
