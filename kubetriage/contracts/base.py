"""What every wire model shares."""

from pydantic import BaseModel, ConfigDict


class WireModel(BaseModel):
    """Immutable and closed: an unknown field is an error, so a typo never passes silently.

    Who reads what another process of ours wrote validates with ``extra="ignore"``: it may be a newer version.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
