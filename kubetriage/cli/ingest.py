"""``kubetriage ingest``: the same as ``python -m rag_ingest``, where that service is installed."""

from __future__ import annotations

from rag_ingest.__main__ import main as command

__all__ = ["command"]
