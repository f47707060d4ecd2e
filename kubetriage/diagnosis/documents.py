"""YAML that people write, with the line of every part, so that an error can say where it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

LONGEST = 1_000_000  # characters
_STAR = "aliases are not allowed; a text that begins with * needs quotes"
_Path = tuple[str | int, ...]


class DocumentError(ValueError):
    """What is wrong with a document, for people, with its line."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(f"line {line}: {message}" if line else message)


@dataclass(frozen=True, slots=True)
class Part:
    """A value of a document and where it stands."""

    value: Any
    path: _Path
    lines: Mapping[_Path, int]

    @property
    def line(self) -> int:
        return self.lines.get(self.path, 1)

    def wrong(self, message: str) -> DocumentError:
        return DocumentError(message, self.line)

    def entries(self, required: Collection[str], optional: Collection[str]) -> dict[str, Part]:
        """The parts of a mapping. Raises DocumentError for a missing, an unknown or an empty key."""
        if not isinstance(self.value, dict):
            raise self.wrong(f"must be a mapping with {', '.join(required)}")
        parts = {str(key): Part(value, (*self.path, str(key)), self.lines) for key, value in self.value.items()}
        for key, part in parts.items():
            if key not in required and key not in optional:
                raise part.wrong(f"unknown key {key!r}; known are {', '.join([*required, *optional])}")
        for key in required:
            if key not in parts:
                raise self.wrong(f"{key} is missing")
        return parts

    def elements(self) -> list[Part]:
        if not isinstance(self.value, list):
            raise self.wrong("must be a list")
        return [Part(value, (*self.path, index), self.lines) for index, value in enumerate(self.value)]

    def text(self, longest: int = 2_000) -> str:
        """A string that says something."""
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.wrong(f"{self.path[-1] if self.path else 'it'} must be a text")
        if len(self.value) > longest:
            raise self.wrong(f"{self.path[-1]} is longer than {longest} characters")
        return self.value.strip()


class _Loader(yaml.SafeLoader):
    """Without aliases: they make a small file a huge document."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem=_STAR, problem_mark=self.get_mark())
        return super().compose_node(parent, index)


def read_documents(text: str) -> list[Part]:
    """The documents of a YAML file. Raises DocumentError for what is no plain YAML."""
    if len(text) > LONGEST:
        raise DocumentError(f"longer than {LONGEST} characters")
    try:
        loader = _Loader(text)
        found = []
        while loader.check_node():
            node = loader.get_node()
            lines: dict[_Path, int] = {}
            _number(node, (), lines)
            found.append(Part(loader.construct_document(node), (), lines))
    except DocumentError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = _STAR if error.context == "while scanning an alias" else error.problem
        raise DocumentError(f"no valid YAML: {problem}", mark.line + 1 if mark else None) from None
    # A value such as 2026-13-45 or !!timestamp x ends in whatever the constructor stumbles over.
    except (
        yaml.YAMLError,
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise DocumentError(f"no valid YAML: {error}") from None
    return [part for part in found if part.value is not None]


def _number(node: yaml.Node | None, path: _Path, lines: dict[_Path, int]) -> None:
    """Writes down the line of every part. Raises DocumentError for a key that comes twice."""
    if node is None:
        return
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            _number(child, (*path, index), lines)
    elif isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            below = (*path, str(key.value))
            if below in lines:
                raise DocumentError(f"{key.value!r} comes twice", key.start_mark.line + 1)
            lines[below] = key.start_mark.line + 1
            _number(child, below, lines)
