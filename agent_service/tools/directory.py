"""Which objects there are, by name, and which one a name means."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent_service.run_context import RunContext
from agent_service.tools.result import ToolResult, failed
from kubetriage.contracts.diagnosis import Unreadable
from kubetriage.state.resources import Resource, resource_by_kind, resource_by_plural
from kubetriage.state.snapshot import Object

# In the order in which a bare name is looked up: what people mean first.
WORKLOADS = ("deployments", "statefulsets", "daemonsets", "cronjobs", "jobs")
NAMED = (*WORKLOADS, "services", "pods", "persistentvolumeclaims", "ingresses", "configmaps", "nodes")


@dataclass(frozen=True, slots=True)
class Found:
    """One object with its resource."""

    resource: Resource
    item: Object

    @property
    def name(self) -> str:
        return str(self.item["metadata"]["name"])

    @property
    def namespace(self) -> str | None:
        return self.item["metadata"].get("namespace") or None


@dataclass(frozen=True, slots=True)
class Directory:
    """Objects in reading order, and what could not be listed."""

    entries: tuple[Found, ...]
    unreadable: tuple[Unreadable, ...]

    def named(self, name: str, *, exact: bool = True) -> list[Found]:
        wanted = name.lower()
        if exact:
            return [entry for entry in self.entries if entry.name.lower() == wanted]
        return [entry for entry in self.entries if entry.name.lower().startswith(f"{wanted}-")]

    def nearest(self, name: str, count: int = 5) -> list[str]:
        """Names that resemble ``name``, best first."""
        return nearest_names(name, (entry.name for entry in self.entries), count)


def nearest_names(name: str, names: Iterable[str], count: int = 5) -> list[str]:
    """Those of ``names`` that resemble ``name``: contained in it or containing it, then by letters."""
    known = sorted(set(names))
    wanted = name.lower()
    inside = [one for one in known if wanted in one.lower() or (len(one) > 3 and one.lower() in wanted)]
    close = difflib.get_close_matches(wanted, known, n=count, cutoff=0.55)
    return list(dict.fromkeys((*inside, *close)))[:count]


async def read_directory(context: RunContext, namespace: str | None, plurals: Sequence[str] = NAMED) -> Directory:
    """Lists of the given resources in a namespace (None: everywhere the caller may read)."""
    resources = [resource_by_plural(plural) for plural in plurals]
    lists = await asyncio.gather(
        *(context.reader.list_objects(one, namespace if one.namespaced else None) for one in resources)
    )
    return Directory(
        tuple(Found(r, item) for r, listing in zip(resources, lists, strict=True) for item in listing.items),
        tuple(gap for listing in lists for gap in listing.unreadable),
    )


async def find_object(
    context: RunContext, name: str, namespace: str | None, kind: str | None = None
) -> Found | ToolResult:
    """The object that ``name`` means: exactly that name, else the workload's or pod's that begins with it.

    A miss is a ToolResult that names what is nearest, or what may not be read.
    """
    if "/" in name and not kind:
        kind, _, name = name.partition("/")
    plurals: tuple[str, ...] = NAMED
    if kind:
        resource = resource_by_kind(kind)
        if resource is None:
            return failed(f"There is no resource kind {kind!r} that I can read.", found=False)
        plurals = (resource.plural,)
    refusal = refuse_namespace(context, namespace)
    if refusal:
        return refusal
    here = await read_directory(context, namespace, plurals)
    hits = here.named(name) or here.named(name, exact=False)
    if hits:
        return hits[0]
    return await _missing(context, here, name, namespace, plurals)


def refuse_namespace(context: RunContext, namespace: str | None) -> ToolResult | None:
    """A result that says so when the caller may not read this namespace."""
    if namespace is None or context.reader.allows(namespace):
        return None
    return failed(f"Namespace {namespace} is not among the namespaces that you may read.", forbidden=True)


async def _missing(
    context: RunContext, here: Directory, name: str, namespace: str | None, plurals: tuple[str, ...]
) -> ToolResult:
    where = f" in namespace {namespace}" if namespace else ""
    if here.unreadable and not here.entries:
        gap = here.unreadable[0]
        return failed(f"Cannot tell: {gap.remedy} ({gap.reason}).", forbidden=True)
    elsewhere: list[str] = []
    if namespace:
        everywhere = await read_directory(context, None, plurals)
        elsewhere = sorted({entry.namespace or "" for entry in everywhere.named(name)} - {""})
    near = here.nearest(name)
    text = f"Nothing is named {name}{where}."
    if elsewhere:
        text += f" There is one in namespace {', '.join(elsewhere)}."
    if near:
        text += f" Nearest names: {', '.join(near)}."
    if here.unreadable:
        text += f" Not everything could be read: {here.unreadable[0].remedy}."
    return failed(text, found=False, name=name, nearest=near, elsewhere=elsewhere)
