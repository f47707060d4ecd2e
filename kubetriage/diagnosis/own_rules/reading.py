"""From a YAML file to checks. docs/own-rules.md says what may stand in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from kubetriage.contracts.diagnosis import Severity
from kubetriage.diagnosis.causes import CAUSES, Cause
from kubetriage.diagnosis.documents import DocumentError, Part, read_documents
from kubetriage.diagnosis.own_rules.check import COMMAND_BLANKS, MESSAGE_BLANKS, Check, Example, blanks_of
from kubetriage.diagnosis.own_rules.condition import ConditionError, parse_condition
from kubetriage.diagnosis.own_rules.paths import Path, parse_path
from kubetriage.state.resources import RESOURCES, Resource, resource_by_kind

_CODE = re.compile(r"[a-z][a-z0-9]{0,30}(?:_[a-z0-9]{1,30}){1,10}")
_REQUIRED = ("cause", "title", "kind", "when", "message")
_OPTIONAL = (
    "namespace", "labels", "meaning", "evidence", "severity", "fix", "runbook", "explains", "tests",
)  # fmt: skip


def parse_checks(text: str, source: str) -> tuple[Check, ...]:
    """One check per YAML document. Raises DocumentError, with the line."""
    return tuple(_check(document, source) for document in read_documents(text))


def _check(document: Part, source: str) -> Check:
    parts = document.entries(_REQUIRED, _OPTIONAL)
    resource = _resource(parts["kind"])
    try:
        condition = parse_condition(parts["when"].text())
    except ConditionError as error:
        raise parts["when"].wrong(f"when: {error}") from None
    fix, command = _fix(parts.get("fix"))
    return Check(
        cause=_cause(parts, condition.text, fix),
        resource=resource,
        condition=condition,
        message=_template(parts["message"], MESSAGE_BLANKS),
        namespace=_text(parts, "namespace") or None,
        labels=_labels(parts.get("labels")),
        evidence=tuple(_path(entry) for entry in _list(parts, "evidence")),
        severity=_severity(parts.get("severity")),
        fix=fix,
        command=command,
        explains=_flag(parts.get("explains")),
        examples=tuple(_example(entry, index, resource) for index, entry in enumerate(_list(parts, "tests"), 1)),
        source=source,
    )


def _cause(parts: dict[str, Part], condition: str, fix: str | None) -> Cause:
    code = parts["cause"].text()
    if not _CODE.fullmatch(code):
        raise parts["cause"].wrong(f"cause {code!r} must begin with your team, such as acme_missing_team_label")
    if code in CAUSES:
        raise parts["cause"].wrong(f"cause {code!r} is a built-in one")
    title = parts["title"].text(200)
    return Cause(
        code=code,
        domain="own",
        title=title,
        meaning=_text(parts, "meaning") or f"{title}.".replace("..", "."),
        evidence=f"{parts['kind'].text()}: {' '.join(condition.split())}",
        fix=re.sub(r"\{(\w+)\}", r"<\1>", fix or ""),
        runbook=_text(parts, "runbook"),
    )


def _resource(part: Part) -> Resource:
    found = resource_by_kind(part.text())
    if found is None:
        known = ", ".join(sorted(resource.kind for resource in RESOURCES if resource.kind != "Secret"))
        raise part.wrong(f"kind {part.value!r} is not read; known are {known}")
    if found.kind == "Secret":
        raise part.wrong("Secrets are never read")
    return found


def _fix(part: Part | None) -> tuple[str | None, str | None]:
    """Either a text, or a mapping with text and command."""
    if part is None:
        return None, None
    if isinstance(part.value, str):
        return _template(part, COMMAND_BLANKS), None
    entries = part.entries(["text"], ["command"])
    command = _template(entries["command"], COMMAND_BLANKS) if "command" in entries else None
    if command is not None and ("\n" in command or "\r" in command):
        raise entries["command"].wrong("command must be one line")
    return _template(entries["text"], COMMAND_BLANKS), command


def _template(part: Part, known: tuple[str, ...]) -> str:
    text = part.text()
    for name in sorted(blanks_of(text) - set(known)):
        raise part.wrong(f"{{{name}}} is not known here; known are {', '.join(f'{{{entry}}}' for entry in known)}")
    return text


def _labels(part: Part | None) -> dict[str, str]:
    if part is None:
        return {}
    if not isinstance(part.value, dict) or not all(isinstance(value, str) for value in part.value.values()):
        raise part.wrong("labels must map names to texts")
    return {str(key): value for key, value in part.value.items()}


def _path(part: Part) -> Path:
    try:
        return parse_path(part.text(500))
    except DocumentError:
        raise
    except ValueError as error:
        raise part.wrong(str(error)) from None


def _severity(part: Part | None) -> Severity:
    if part is None:
        return Severity.MEDIUM
    try:
        return Severity(part.value)
    except ValueError:
        raise part.wrong(f"severity must be one of {', '.join(Severity)}") from None


def _flag(part: Part | None) -> bool:
    if part is not None and not isinstance(part.value, bool):
        raise part.wrong("explains must be true or false")
    return part is not None and bool(part.value)


def _text(parts: dict[str, Part], key: str) -> str:
    return parts[key].text() if key in parts else ""


def _list(parts: dict[str, Part], key: str) -> Iterator[Part]:
    yield from parts[key].elements() if key in parts else ()


def _example(part: Part, number: int, resource: Resource) -> Example:
    parts = part.entries(["expect", "object"], ["name", "message"])
    expect = parts["expect"].value
    if expect not in ("match", "silent"):
        raise parts["expect"].wrong("expect must be match or silent")
    if "message" in parts and expect == "silent":
        raise parts["message"].wrong("a silent check has no message")
    return Example(
        name=_text(parts, "name") or f"test {number}",
        expect=expect,
        object=_object(parts["object"], resource),
        message=_text(parts, "message") or None,
    )


def _object(part: Part, resource: Resource) -> dict[str, Any]:
    """As the API would send it: JSON's types, with a name and a namespace."""
    item, about = part.value, part.value.get("metadata", {}) if isinstance(part.value, dict) else None
    if not isinstance(item, dict) or not isinstance(about, dict):
        raise part.wrong("object must be an API object")
    if item.get("kind", resource.kind) != resource.kind:
        raise part.wrong(f"object is a {item['kind']}, the check is about {resource.kind}")
    for key in ("name", "namespace", "deletionTimestamp"):
        if not isinstance(about.get(key, ""), str):
            raise part.wrong(f"metadata.{key} must be a text")
    for key in ("labels", "annotations"):
        if not isinstance(about.get(key) or {}, dict):
            raise part.wrong(f"metadata.{key} must be a mapping")
    defaults = {"name": "test", **({"namespace": "default"} if resource.namespaced else {})}
    try:
        plain: dict[str, Any] = json.loads(json.dumps(item, default=str))
    except (TypeError, RecursionError):
        raise part.wrong("object is not what JSON can say") from None
    return {**plain, "kind": resource.kind, "metadata": {**defaults, **plain.get("metadata", {})}}
