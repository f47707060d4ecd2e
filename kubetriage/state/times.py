"""Kubernetes timestamps (RFC 3339) as aware datetimes."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=65_536)
def parse_time(text: str | None) -> datetime | None:
    """The time, in UTC; None when it is absent or not a time (never an exception)."""
    if not text:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
