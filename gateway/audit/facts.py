"""What of a call is worth keeping, read from its request and its answer. Never a whole body: it may hold a secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs

import orjson

from gateway.users import normalised
from kubetriage.safety.redaction import redact
from kubetriage.safety.untrusted import clean_text

LOGIN = "/v1/auth/token"
_ASKED = 500  # characters
_READ = 40  # names
_NAME = 160  # characters
# Reading calls that are recorded: what somebody said, and what was found. Lists are not.
_READING = frozenset({"/v1/sessions/{session_id}/messages", "/v1/incidents/{incident_id}", "/v1/audit"})
_NOT_RECORDED = frozenset({"/v1/auth/refresh"})  # every quarter of an hour, and it says nothing
_ANSWER = b"event: answer\ndata: "


def is_recorded(method: str, route: str, status: int, actor: str | None) -> bool:
    """Calls of a known actor that ask or change something, refused ones too; and every try to log in.

    Not what nobody we know was refused: who cannot get in must not be able to fill the log either.
    """
    if route == LOGIN:
        return status != 429
    if actor is None or status == 429 or not route.startswith("/v1/") or route in _NOT_RECORDED:
        return False
    return method != "GET" or route in _READING or route.startswith("/v1/auth/")


def account_of(body: bytes) -> str:
    """Whom somebody tried to log in as."""
    try:
        name = parse_qs(body.decode(), max_num_fields=20).get("username", [""])[0]
    except ValueError:
        name = ""
    return normalised(name) or "(no such name)"


def facts_of_request(body: bytes) -> dict[str, str]:
    """Members of an AuditEntry that the request says."""
    asked = _object(body)
    names = {name: asked.get(name) for name in ("cluster", "namespace", "session_id")}
    names["object"] = f"{asked.get('kind') or 'object'}/{asked['name']}" if isinstance(asked.get("name"), str) else None
    found = {name: text[:_NAME] for name, text in names.items() if isinstance(text, str)}
    several = " | ".join(str(item.get("question") or item.get("namespace")) for item in _objects(asked.get("items")))
    question = asked.get("question") or asked.get("query") or several or None
    if isinstance(question, str):
        # Cut first: redaction of a long text costs, and what a cut leaves of a secret is cut off with it.
        found["asked"] = redact(clean_text(question[: 4 * _ASKED]))[:_ASKED]
    return found


def facts_of_answer(answer: bytes) -> tuple[str, ...]:
    """Tools, objects and runbooks that the answer names."""
    if _ANSWER in answer:
        answer = answer.rpartition(_ANSWER)[2].partition(b"\n")[0]
        document = _object(answer).get("answer")
    else:
        document = _object(answer)
    if not isinstance(document, dict):
        return ()
    names = dict.fromkeys(name[:_NAME].replace("\n", " ").replace("\r", " ") for name in _names(document))
    # All at once: a pass of redaction costs more than what it passes over.
    return tuple(redact(clean_text("\n".join(list(names)[:_READ]))).split("\n")) if names else ()


def _names(document: Mapping[str, Any]) -> Iterator[str]:
    for call in _objects(document.get("tool_calls")):
        arguments = call.get("arguments")
        values = arguments.values() if isinstance(arguments, dict) else ()
        yield " ".join([f"tool {call.get('name')}", *(str(value) for value in values)])
    for passage in _objects(document.get("passages")):
        yield f"runbook {passage.get('path')}"
    for source in _objects(document.get("sources")):
        yield f"{source.get('kind')} {source.get('title')}"
    diagnosis = document.get("diagnosis") or document
    for incident in _objects(diagnosis.get("incidents") if isinstance(diagnosis, dict) else None):
        cause = incident.get("root_cause")
        about = cause.get("object") if isinstance(cause, dict) else None
        if isinstance(about, dict):
            yield f"object {about.get('namespace') or '-'}/{about.get('kind')}/{about.get('name')}"


def _objects(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
