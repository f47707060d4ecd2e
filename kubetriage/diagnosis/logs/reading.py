"""Finding the lines of a log that matter, and the host and port that they name."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from kubetriage.diagnosis.logs.signatures import SIGNATURES, WORDS, Signature, Symptom
from kubetriage.state.times import parse_time

# The kubelet puts an RFC 3339 time before each line when timestamps were asked for.
_STAMP = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))\s")
_INNER_STAMP = re.compile(r"^(\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d)[.,]?(\d*)(Z|[+-]\d\d:?\d\d)?")
# host:port as programs print it. The host needs a letter: an IPv4 address is matched apart.
_HOST_PORT = re.compile(r"\b([a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?):(\d{2,5})\b", re.IGNORECASE)
_DNS_PORT = 53
_NAMED_HOST = re.compile(
    r"(?:UnknownHostException: |no such host[^a-z]+|lookup |ENOTFOUND |EAI_AGAIN |resolve host:? |"
    r"host name \"|server on '|bad address '|host not found in upstream \"|host='|"
    r"Name or service not known: )([a-z0-9][a-z0-9.-]*[a-z0-9])",
    re.IGNORECASE,
)
_FRAME = re.compile(r"^\s*(?:at |\.\.\. \d+ |File \"|goroutine )")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_MESSAGE_KEYS = ("message", "msg", "log", "error", "err", "exception", "stack")
_LEVEL_KEYS = ("severity", "level", "log.level", "lvl", "levelname")
_QUIET_LEVELS = ("info", "debug", "trace", "notice", "warn", "warning", "information")
# Lines examined from the end; older ones are of earlier troubles. Bounds the work per log.
MOST_LINES = 600
LONGEST_LINE = 2_000


@dataclass(frozen=True, slots=True)
class LogHit:
    """A line that means something. ``host`` and ``port``: whom the line names, if anybody.
    ``count``: lines of the same symptom and host in this log; ``position``: where the last one
    stands, 0 for the log's beginning and 1 for its end."""

    symptom: Symptom
    line: str
    weight: int
    family: str = ""
    host: str | None = None
    port: int | None = None
    time: datetime | None = None
    count: int = 1
    position: float = 1.0


def find_hits(text: str) -> list[LogHit]:
    """The last line of each (symptom, host) in a log, heaviest first."""
    found: dict[tuple[Symptom, str | None], LogHit] = {}
    lines = text.splitlines()[-MOST_LINES:]
    shapes: dict[str, LogHit | None] = {}
    for number in _telling(lines):
        raw = lines[number][:LONGEST_LINE]
        # Programs repeat themselves: lines that differ in digits only are read once.
        shape = _DIGITS.sub("0", raw)
        if shape not in shapes:
            shapes[shape] = _read_line(raw)
        known = shapes[shape]
        if known is None:
            continue
        hit = replace(known, line=_message(raw), time=_time(raw))
        if hit.host is None and hit.symptom in _ABOUT_A_PEER:
            hit = _with_host_nearby(hit, lines, number)
        key = (hit.symptom, hit.host)
        before = found.get(key)
        better = before if before is not None and before.weight > hit.weight else hit
        found[key] = replace(
            better,
            count=before.count + 1 if before else 1,
            position=(number + 1) / len(lines),
            time=hit.time or better.time,
        )
    return sorted(found.values(), key=lambda hit: -hit.weight)


def _telling(lines: list[str]) -> list[int]:
    """Numbers of the lines that hold a word of trouble. Plain substring search over the joined
    text: a hundred times faster than asking every pattern about every line."""
    joined = "\n".join(lines).lower()
    starts: list[int] = []
    offset = 0
    for line in lines:
        starts.append(offset)
        offset += len(line) + 1
    if offset and len(joined) + 1 != offset:  # lower() changed a length (some Unicode): be slow and right
        return [n for n, line in enumerate(lines) if any(word in line.lower() for word in WORDS)]
    numbers: set[int] = set()
    for word in WORDS:
        at = joined.find(word)
        while at >= 0:
            number = bisect_right(starts, at) - 1
            numbers.add(number)
            at = joined.find(word, starts[number] + len(lines[number]))
    return [n for n in sorted(numbers) if len(lines[n]) >= 4 and not _FRAME.match(lines[n])]


def fatal_hit(text: str) -> LogHit | None:
    """The line that explains best why a program ended; the last plain line when none says why."""
    hits = find_hits(text)
    if hits:
        return hits[0]
    for raw in reversed(text.splitlines()):
        if raw.strip() and not _FRAME.match(raw):
            stamp, line = _split_stamp(raw)
            return LogHit(Symptom.CRASH, line.strip()[:LONGEST_LINE], 10, time=stamp) if line.strip() else None
    return None


_ABOUT_A_PEER = {Symptom.REFUSED, Symptom.TIMEOUT, Symptom.DNS, Symptom.DB_UNREACHABLE}
_DIGITS = re.compile(r"\d+")


def _message(raw: str) -> str:
    _, line = _split_stamp(_ANSI.sub("", raw))
    return _structured(line)[1].strip()


def _time(raw: str) -> datetime | None:
    stamp, line = _split_stamp(raw)
    return stamp or _inner_time(line)


def _read_line(raw: str) -> LogHit | None:
    stamp, line = _split_stamp(_ANSI.sub("", raw))
    level, message = _structured(line)
    signature = _signature(message)
    if signature is None or (signature.weight <= 30 and level in _QUIET_LEVELS):
        return None
    host, port = _peer(message)
    return LogHit(
        signature.symptom,
        message.strip(),
        _weigh(signature, level),
        signature.family,
        host,
        port,
        stamp or _inner_time(line),
    )


def _weigh(signature: Signature, level: str | None) -> int:
    """A quiet level says that the program went on: such a line explains a crash less."""
    return signature.weight - 15 if level in ("info", "debug", "trace", "notice", "information") else signature.weight


def _signature(message: str) -> Signature | None:
    for signature in SIGNATURES:
        if signature.pattern.search(message):
            return signature
    return None


def _structured(line: str) -> tuple[str | None, str]:
    """(level, message) of a JSON line (also ECS), or (None, the line)."""
    stripped = line.strip()
    if not (stripped.startswith("{") and stripped.endswith("}")):
        return None, line
    record = _json(stripped)
    if not isinstance(record, dict):
        return None, line
    level = next((str(record[key]).lower() for key in _LEVEL_KEYS if key in record), None)
    if level is None and isinstance(record.get("log"), dict):
        level = str(record["log"].get("level", "")).lower() or None
    parts = [_text(record[key]) for key in _MESSAGE_KEYS if record.get(key)]
    return level, " ".join(part for part in parts if part) or line


def _json(text: str) -> Any:
    import json  # noqa: PLC0415 - only logs that are JSON pay for it

    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _text(value.get("message") or value.get("stack_trace") or "")
    return ""


def _split_stamp(raw: str) -> tuple[datetime | None, str]:
    match = _STAMP.match(raw)
    return (parse_time(match[1]), raw[match.end() :]) if match else (None, raw)


def _inner_time(line: str) -> datetime | None:
    """A program's own time, only when it states its zone: a bare local time would mislead."""
    match = _INNER_STAMP.match(line.strip())
    if not match or not match[3]:
        return None
    return parse_time(match[1].replace("/", "-").replace(" ", "T") + match[3])


def _peer(message: str) -> tuple[str | None, int | None]:
    named = _NAMED_HOST.search(message)
    for match in _HOST_PORT.finditer(message):
        host, port = match[1].lower(), int(match[2])
        # "lookup payments on 10.96.0.10:53": the line is about payments, not about the DNS server.
        asked = port == _DNS_PORT and named is not None
        if _is_host(host) and 0 < port < 65_536 and not asked:
            return host, port
    return (named[1].lower(), None) if named else (None, None)


def _is_host(host: str) -> bool:
    """A name that may be a Service or an address; not a clock ("12:30"), a file or a class."""
    if host.replace(".", "").isdigit():
        return host.count(".") == 3
    if host in (
        "localhost",
        "error",
        "line",
        "http",
        "https",
        "port",
        "pid",
        "exception",
        "code",
        "tcp",
        "dial",
    ):
        return host == "localhost"
    return not host.endswith((".go", ".py", ".java", ".js", ".ts", ".rb", ".cs", ".rs", ".cc", ".kt"))


def _with_host_nearby(hit: LogHit, lines: list[str], number: int) -> LogHit:
    """Drivers print the host a line or two from the error ("Caused by: ... host")."""
    for raw in lines[number + 1 : number + 4]:
        named = _NAMED_HOST.search(raw)
        if named:
            return replace(hit, host=named[1].lower())
    return hit
