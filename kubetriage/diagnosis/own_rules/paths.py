"""Paths into an API object: ``spec.template.spec.containers[*].resources.limits.memory``.

``[*]`` is every element, ``[0]`` one, ``["app.kubernetes.io/name"]`` a key with dots. Null is absent, as
in the API.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

PATH: Final = r"[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*|\[(?:\*|\d{1,4}|\"[^\"\]]*\"|'[^'\]]*')\])*"
_STEP = re.compile(r"\.?(?P<name>[A-Za-z_][\w-]*)|\[(?P<all>\*)\]|\[(?P<index>\d+)\]|\[[\"'](?P<key>[^\"']*)[\"']\]")
_NAME = re.compile(r"[A-Za-z_][\w-]*")
MOST_VALUES = 1_000
_ALL = object()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path led: ``where`` with the names of list elements; ``value`` is None when nothing is there."""

    where: str
    value: Any
    above: tuple[str, Any] = ("", None)  # the nearest part that is there, when the value is not

    @property
    def present(self) -> bool:
        return self.value is not None


@dataclass(frozen=True, slots=True)
class Path:
    text: str
    steps: tuple[Any, ...]

    def places(self, item: Mapping[str, Any]) -> list[Place]:
        """Every place that it leads to, of which some may be empty. An empty list has no elements at all."""
        found = [Place("", item)]
        for step in self.steps:
            found = [place for before in found for place in _follow(before, step)][:MOST_VALUES]
        return found

    def values(self, item: Mapping[str, Any]) -> list[Any]:
        """What is there."""
        return [place.value for place in self.places(item) if place.present]


def parse_path(text: str) -> Path:
    """Raises ValueError for what is no path."""
    if re.fullmatch(PATH, text) is None:
        raise ValueError(f"{text!r} is no path such as spec.containers[*].image")
    return Path(text, tuple(_steps(text)))


def _steps(text: str) -> Iterator[Any]:
    for found in _STEP.finditer(text):
        if found["all"]:
            yield _ALL
        elif found["index"]:
            yield int(found["index"])
        else:
            yield found["name"] or found["key"] or ""


def _follow(place: Place, step: Any) -> Iterator[Place]:
    value = place.value
    above = (place.where, value) if place.present else place.above
    if step is _ALL:
        if isinstance(value, list):
            for index, entry in enumerate(value):
                yield Place(f"{place.where}[{_called(entry, index)}]", entry, above)
        elif isinstance(value, Mapping):
            yield from (Place(f"{place.where}[{key}]", entry, above) for key, entry in value.items())
        else:
            yield Place(f"{place.where}[*]", None, above)
    elif isinstance(step, int):
        there = isinstance(value, list) and step < len(value)
        yield Place(f"{place.where}[{step}]", value[step] if there else None, above)
    else:
        plain = _NAME.fullmatch(step) is not None
        where = f"{place.where}[{step}]" if not plain else f"{place.where}.{step}" if place.where else step
        yield Place(where, value.get(step) if isinstance(value, Mapping) else None, above)


def _called(entry: Any, index: int) -> str:
    name = entry.get("name") if isinstance(entry, Mapping) else None
    return name if isinstance(name, str) else str(index)
