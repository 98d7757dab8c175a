"""The base of every value that crosses a process border."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Frozen, ignores fields it does not know (contracts grow by addition) and never shows input in its errors."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, allow_inf_nan=False)
