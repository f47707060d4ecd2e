"""Whether spans are exported: OpenTelemetry's own variables say so. Its SDK is imported only when they do.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import structlog

from kubetriage.telemetry.spans import record_spans

_log = structlog.get_logger("traces")


class CollectorError(ValueError):
    """The variables name a collector that cannot be meant; the message has no value of theirs."""


def collector_wanted(environment: Mapping[str, str]) -> bool:
    """Whether a collector is named and nothing switches traces off. Raises CollectorError."""
    general = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    endpoint = environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or general
    disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if not endpoint or disabled or environment.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return False
    general = environment.get("OTEL_EXPORTER_OTLP_PROTOCOL", "")
    protocol = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or general
    if protocol not in {"", "http/protobuf"}:
        raise CollectorError("OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf, the only one spoken here")
    if not endpoint.startswith(("http://", "https://")):
        raise CollectorError("OTEL_EXPORTER_OTLP_ENDPOINT must be an http:// or https:// URL")
    return True


@asynccontextmanager
async def exported_spans(service: str) -> AsyncIterator[None]:
    """Inside, spans go to the collector that the environment names; with none, nothing happens.

    ``service`` is the ``service.name`` unless OTEL_SERVICE_NAME gives another. On leaving, what is left is sent,
    within a few seconds. Once at a time in a process.
    """
    try:
        wanted = collector_wanted(os.environ)
    except CollectorError as error:
        # Variables are often set for a whole namespace: a service that cannot trace can still answer.
        _log.warning("traces are not exported", reason=str(error))
        wanted = False
    if not wanted:
        yield
        return
    from kubetriage.telemetry.otlp import Exporter  # noqa: PLC0415 - 20 MB that few need

    exporter = Exporter(service)
    record_spans(exporter.begin)
    try:
        yield
    finally:
        record_spans(None)
        await asyncio.to_thread(exporter.close)
