"""What every wire model shares."""

from pydantic import BaseModel, ConfigDict


class WireModel(BaseModel):
    """Immutable and closed: an unknown field is an error, so a typo never passes silently."""

    model_config = ConfigDict(frozen=True, extra="forbid")
