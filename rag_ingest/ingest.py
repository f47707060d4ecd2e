"""One ingest: read the files, write what changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kubetriage.retrieval.chroma_store import ChromaStore, IngestSummary, Progress
from kubetriage.retrieval.searcher import bundled_folder
from kubetriage.telemetry.spans import span
from rag_ingest.reading import read_paths

SERVICE = "kubetriage-ingest"  # in logs and traces


@dataclass(frozen=True, slots=True)
class Ingested:
    """What was done, and the files that were left out with the reason."""

    summary: IngestSummary
    skipped: tuple[tuple[str, str], ...]


async def ingest(
    store: ChromaStore,
    paths: Sequence[Path],
    *,
    source: str,
    progress: Progress = lambda _done, _all: None,
    say: Callable[[str], None] = lambda _line: None,
) -> Ingested:
    """Makes ``source`` hold exactly what ``paths`` (none: the bundled runbooks) hold.

    Raises FileNotFoundError, RetrievalUnavailableError, and ValueError when there is no runbook at all:
    an empty folder is more likely a wrong mount than the wish to forget everything.
    """
    wanted = list(paths) or [bundled_folder()]
    with span("ingest", {"kubetriage.ingest.source": source}) as run:
        reading = await asyncio.to_thread(read_paths, wanted)
        for path, why in reading.skipped:
            say(f"left out {path}: {why}")
        if not reading.chunks:
            raise ValueError(f"no runbook (*.md) in {', '.join(str(path) for path in wanted)}")
        summary = await store.sync(reading.chunks, source=source, progress=progress)
        counted = {name: getattr(summary, name) for name in ("documents", "chunks", "added", "removed")}
        run.set({f"kubetriage.ingest.{name}": count for name, count in counted.items()})
    return Ingested(summary, reading.skipped)
