"""The base of every value that crosses a process border."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Frozen, ignores fields it does not know (contracts grow by addition) and never shows input in its errors."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, allow_inf_nan=False)


def require_same_length(*columns: tuple[object, ...]) -> None:
    """Refuse columns of different length: the rows would be shifted against each other. Raises ValueError."""
    if len({len(column) for column in columns}) > 1:
        raise ValueError("columns differ in length")
