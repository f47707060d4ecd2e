"""The one way from a cluster to a Diagnosis: read what the rules need, then decide.

All I/O is the reader's; all decisions are ``kubetriage.diagnosis``'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from kubetriage.cluster.reader import ClusterReader, Listing, MetricsSource, Observations
from kubetriage.contracts.diagnosis import Diagnosis, Scope, Unreadable
from kubetriage.diagnosis import Examination, resources_needed
from kubetriage.diagnosis.rule import Rule
from kubetriage.safety.redaction import Redactor
from kubetriage.safety.untrusted import clean_data
from kubetriage.state.logs import LogKey, LogText
from kubetriage.state.resources import Resource
from kubetriage.state.snapshot import Object, Snapshot
from kubetriage.telemetry.spans import span

Progress = Callable[[str], None]


async def read_snapshot(
    reader: ClusterReader,
    resources: Iterable[Resource],
    namespaces: tuple[str, ...] | None,
    metrics: MetricsSource | None = None,
) -> Snapshot:
    """Each resource once (once per namespace when several are given), all at the same time."""
    wanted = list(resources)
    targets: list[tuple[Resource, str | None]] = []
    for resource in wanted:
        if namespaces is None or not resource.namespaced:
            targets.append((resource, None))
        else:
            targets.extend((resource, namespace) for namespace in namespaces)
    single = namespaces[0] if namespaces is not None and len(namespaces) == 1 else None
    listings, usage, observed, version, at = await asyncio.gather(
        asyncio.gather(*(reader.list_objects(resource, namespace) for resource, namespace in targets)),
        reader.read_usage(single),
        _observe(reader, metrics, namespaces),
        reader.server_version(),
        reader.collected_at(),
    )
    objects, unreadable = _merge(targets, listings)
    return Snapshot(
        objects=objects,
        collected_at=at,
        cluster=reader.name,
        namespaces=namespaces,
        unreadable=(*unreadable, *usage.unreadable, *observed.unreadable),
        usage=usage.usage,
        alerts=observed.alerts,
        metrics=observed.metrics,
        connectivity=observed.connectivity,
        node_services=observed.node_services,
        server_version=version,
    )


async def _observe(
    reader: ClusterReader, metrics: MetricsSource | None, namespaces: tuple[str, ...] | None
) -> Observations:
    """What the reader holds itself wins: it is of the state that is looked at."""
    single = namespaces[0] if namespaces is not None and len(namespaces) == 1 else None
    own = await reader.read_observations(single)
    if metrics is None or own.metrics or own.alerts:
        return own
    found = await metrics.read_observations(namespaces, await reader.collected_at())
    unreadable = (*own.unreadable, *found.unreadable)
    return replace(own, alerts=found.alerts, metrics=found.metrics, unreadable=unreadable)


async def read_logs(reader: ClusterReader, keys: Iterable[LogKey]) -> tuple[dict[LogKey, LogText], list[Unreadable]]:
    """The logs that the rules asked for, and those that could not be read."""
    wanted = list(keys)
    answers = await asyncio.gather(*(reader.read_log(key) for key in wanted))
    texts = {key: answer for key, answer in zip(wanted, answers, strict=True) if isinstance(answer, LogText)}
    return texts, [answer for answer in answers if isinstance(answer, Unreadable)]


_paused = 0


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """A snapshot is hundreds of thousands of dictionaries without a cycle among them: looking for
    cycles in them again and again would cost a third of the time."""
    global _paused  # noqa: PLW0603 - the collector is one for the process, investigations are several
    if not _paused and not gc.isenabled():  # somebody else has switched it off, and may rely on it
        yield
        return
    _paused += 1
    gc.disable()
    try:
        yield
    finally:
        _paused -= 1
        if not _paused:
            gc.enable()


async def investigate(
    reader: ClusterReader,
    scope: Scope,
    *,
    namespaces: tuple[str, ...] | None = None,
    progress: Progress | None = None,
    extra_rules: Sequence[Rule] = (),
    metrics: MetricsSource | None = None,
    redactor: Redactor | None = None,
) -> Diagnosis:
    """Diagnose ``scope``. What it quotes is without secrets and control characters.

    ``namespaces`` limits what is read (the caller's rights); a namespace in the scope limits it
    further; ``extra_rules`` are a team's own; ``metrics`` is asked when the reader holds none itself;
    ``redactor`` hides more than secrets.
    Raises ClusterUnreachableError when there is no cluster to read at all.
    """
    say = progress or (lambda _line: None)
    begin = time.perf_counter()
    allowed = (scope.namespace,) if scope.namespace else namespaces
    with _without_collector():
        say("reading objects")
        with span("read_cluster") as reading:
            snapshot = await read_snapshot(reader, resources_needed(scope, extra_rules), allowed, metrics)
            reading.set({"kubetriage.objects": snapshot.count(), "kubetriage.unreadable": len(snapshot.unreadable)})
        examination = Examination(snapshot, scope, extra_rules)
        keys = examination.wanted_logs()
        if keys:
            say(f"reading {len(keys)} logs")
            with span("read_logs", {"kubetriage.logs": len(keys)}):
                texts, unreadable = await read_logs(reader, keys)
            examination.add_logs(texts, unreadable)
        say(f"checking {snapshot.count()} objects")
        with span("check_rules") as checking:
            diagnosis = examination.diagnose()
            checking.set({"kubetriage.incidents": len(diagnosis.incidents)})
        diagnosis = _presentable(diagnosis, redactor or Redactor())
    return diagnosis.model_copy(update={"duration_seconds": round(time.perf_counter() - begin, 3)})


def _presentable(diagnosis: Diagnosis, redactor: Redactor) -> Diagnosis:
    """The rules judge what is there; what they quote of it may hold a password or a terminal's escape sequence."""
    plain = diagnosis.model_dump(mode="json")
    clean = redactor.data(clean_data(plain))
    return diagnosis if clean == plain else Diagnosis.model_validate(clean)


def _merge(
    targets: list[tuple[Resource, str | None]], listings: Iterable[Listing]
) -> tuple[dict[str, list[Object]], list[Unreadable]]:
    """Listings by resource. A resource of which nothing at all could be read has no key."""
    objects: dict[str, list[Object]] = {}
    unreadable: list[Unreadable] = []
    for (resource, _), listing in zip(targets, listings, strict=True):
        unreadable.extend(listing.unreadable)
        if listing.items or not listing.unreadable:
            objects.setdefault(resource.plural, []).extend(listing.items)
    return objects, unreadable
