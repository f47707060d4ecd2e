"""Structured logs: one JSON line per event, field names of the Elastic Common Schema.

Secrets are cut out by name and by shape before a line is rendered; newlines and control characters
of values are escaped by JSON, so a value never forges a line.
"""

from __future__ import annotations

import json as json_module
import logging
import sys
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from typing import Any

import orjson
import structlog

from kubetriage.safety.redaction import redact
from kubetriage.safety.secret_names import is_secret_name

REDACTED = "[redacted]"
_ECS_VERSION = "8.11"
_ECS_NAMES = {
    "timestamp": "@timestamp",
    "level": "log.level",
    "event": "message",
    "exception": "error.stack_trace",
    "error_type": "error.type",
    "code": "error.code",
    "reason": "event.reason",
}
_MAXIMUM_DEPTH = 6  # nesting of a logged value; deeper is cut
_MAXIMUM_TEXT = 8192  # characters of one value
_names_secret = lru_cache(maxsize=1024)(is_secret_name)  # the names of fields are few, and the same on every line


def redact_text(text: str) -> str:
    """``text`` with everything that looks like a credential replaced, and cut where it is too long for a line."""
    return redact(text[:_MAXIMUM_TEXT])


def _redact(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    if depth >= _MAXIMUM_DEPTH:
        return "..."
    if isinstance(value, Mapping):
        return {
            str(name): REDACTED if is_secret_name(str(name)) else _redact(item, depth + 1)
            for name, item in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_redact(item, depth + 1) for item in value]
    return redact_text(str(value))


def redact_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog processor: no field leaves with a secret in it."""
    for name, value in event.items():
        if _names_secret(name):
            event[name] = REDACTED
        elif type(value) is not int:  # every line has many, and nothing to hide in them
            event[name] = _redact(value)
    return event


def _to_ecs(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """ECS' own names; what it has none for is below ``kubetriage``, where no other product's fields are."""
    first = {"timestamp": event.pop("timestamp"), "level": event.pop("level", "info"), "event": event.pop("event", "")}
    named = {_ecs_name(name): value for name, value in {**first, **event}.items()}
    return {**named, "ecs.version": _ECS_VERSION}


def _ecs_name(name: str) -> str:
    return name if "." in name else _ECS_NAMES.get(name, f"kubetriage.{name}")


def _render(event: Any, **_options: Any) -> str:
    try:
        return orjson.dumps(event, default=str).decode()
    except orjson.JSONEncodeError:  # a lone surrogate in a value
        return json_module.dumps(event, default=str)


def configure_logging(service: str, level: str = "INFO", *, json: bool = True) -> None:
    """Sends structlog and the standard library's loggers to stdout, one line per event.

    ``service`` becomes ``service.name``; ``level`` is a standard level name; ``json=False`` is for
    people at a terminal. Uvicorn's access log is silenced: services write their own request line.
    """
    add_service = _AddFields({"service.name": service})
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        add_service,
        redact_event,
    ]
    if json:
        last: list[structlog.typing.Processor] = [
            _to_ecs,
            structlog.processors.JSONRenderer(serializer=_render),
        ]
    else:
        last = [structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())]
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("httpx").setLevel(max(threshold, logging.WARNING))  # a line for each call of Chroma or a model
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


class _AddFields:
    """structlog processor: the same fields on every line."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = dict(fields)

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.update(self._fields)
        return event


def _add_logger_name(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    record = event.get("_record")
    if record is not None:
        event["log.logger"] = record.name
    return event


def log_request(
    logger: Any,
    *,
    method: str,
    route: str,
    path: str,
    status: int,
    seconds: float,
    request_id: str,
    trace_id: str | None = None,
    user: str | None = None,
    client: str | None = None,
    received_bytes: int | None = None,
    sent_bytes: int | None = None,
    **more: Any,
) -> None:
    """The one line per request. ``route`` is the template; queries and bodies are never logged."""
    fields: dict[str, Any] = {
        "event.dataset": "access",
        "http.request.method": method,
        "http.route": route,
        "url.path": path,
        "http.response.status_code": status,
        "event.duration": int(seconds * 1e9),  # ECS counts nanoseconds
        "http.request.id": request_id,
        "trace.id": trace_id,
        "user.name": user,
        "client.ip": client,
        "http.request.body.bytes": received_bytes,
        "http.response.body.bytes": sent_bytes,
        **more,
    }
    logger.info(f"{method} {path} {status}", **{name: value for name, value in fields.items() if value is not None})
