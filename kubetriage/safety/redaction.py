"""Taking secrets out of text and objects before they are stored, logged, shown or sent to a model.

Patterns are best effort by nature; what they must never do is change what is no secret beyond
recognition, so each replaces the value only and says what it was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Every repetition is bounded or starts at the beginning of a run only: logs can be one line of 256 KiB.
_NAME = (
    r"(?:pass(?:word|wd|phrase)?|secret|token|api[-_]?key|access[-_]?key|account[-_]?key|private[-_]?key"
    r"|credential|auth[-_]?key)"
)
_ARGUMENT = re.compile(rf"^--?[\w.-]{{0,60}}{_NAME}[\w.-]{{0,60}}$", re.IGNORECASE)
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "private-key",
        re.compile(
            r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL
        ),
    ),
    ("jwt", re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*")),
    ("aws-key", re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")),
    ("github-token", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{30,255})")),
    ("gitlab-token", re.compile(r"\bglpat-[A-Za-z0-9_-]{20,255}")),
    ("google-key", re.compile(r"\bAIza[A-Za-z0-9_-]{35}|\bya29\.[A-Za-z0-9_-]{20,}")),
    ("model-key", re.compile(r"\bsk-[A-Za-z0-9_-]{20,}")),
    ("slack-token", re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}|https://hooks\.slack\.com/services/\S+")),
    (
        "authorization",
        re.compile(r"(?<=\bbearer )[A-Za-z0-9._~+/=-]{8,}|(?<=\bbasic )[A-Za-z0-9+/=]{8,}", re.IGNORECASE),
    ),
    ("url-password", re.compile(r"(?<=://)([^\s:/@]{0,256}):([^\s@/]{1,256})(?=@)")),
    (
        "value",
        re.compile(
            rf"""(?P<name>{_NAME}[\w.-]{{0,60}}["']?\s{{0,4}}[:=]\s{{0,4}})(?P<quote>\\?["']?)"""
            r"""(?P<value>(?<=["'])[^"'\\\n]{3,512}|[^\s"',;}&\\]{3,})""",
            re.IGNORECASE,
        ),
    ),
)
_SECRET_NAME = re.compile(_NAME, re.IGNORECASE)
# References to secrets are names of objects, and needed; policies and paths are no secrets.
_HARMLESS = re.compile(r"^(?:null|none|true|false|yes|no|\(.*\)|<.*>|\$\{?.*|\[.*|/.*|\d{1,4})$", re.IGNORECASE)
# "bearer authentication", "token: expired at": prose, not credentials.
_PROSE = re.compile(r"^[a-z][a-z-]{0,18}$|^[A-Z][a-z]{0,18}$")
_DROPPED_ANNOTATIONS = ("kubectl.kubernetes.io/last-applied-configuration",)


def redact(text: str) -> str:
    """The text with each secret replaced by ``[redacted <what>]``."""
    for what, pattern in _PATTERNS:
        if what == "value":
            text = pattern.sub(_value, text)
        elif what == "url-password":
            text = pattern.sub(r"\1:[redacted password]", text)
        elif what == "authorization":
            text = pattern.sub(lambda m: m[0] if _PROSE.match(m[0]) else "[redacted authorization]", text)
        else:
            text = pattern.sub(f"[redacted {what}]", text)
    return text


def redact_object(item: Mapping[str, Any]) -> dict[str, Any]:
    """An API object without what nobody needs (managedFields) and with secret values replaced."""
    copy = _walk(item)
    about = copy.get("metadata") or {}
    about.pop("managedFields", None)
    for name in _DROPPED_ANNOTATIONS:
        (about.get("annotations") or {}).pop(name, None)
    if copy.get("kind") == "Secret":
        copy.pop("data", None)
        copy.pop("stringData", None)
    if copy.get("kind") == "ConfigMap":
        copy["data"] = {
            key: "[redacted value]" if _SECRET_NAME.search(key) and _is_secret(value) else value
            for key, value in (copy.get("data") or {}).items()
        }
        copy.pop("binaryData", None)
    found: dict[str, Any] = copy
    return found


def _is_secret(value: Any) -> bool:
    """A file under a telling key (``password-policy.yaml``) has been redacted line by line already."""
    return isinstance(value, str) and bool(value) and "\n" not in value and not _HARMLESS.match(value)


def _value(match: re.Match[str]) -> str:
    value, after = match["value"], match.string[match.end() : match.end() + 2]
    if _HARMLESS.match(value) or value.startswith("[redacted"):
        return match[0]
    if match["name"].endswith(": ") and not match["quote"] and _PROSE.match(value) and re.match(r" \w", after):
        return match[0]
    return f"{match['name']}{match['quote']}[redacted value]"


def _walk(value: Any) -> Any:
    if isinstance(value, Mapping):
        if "name" in value and isinstance(value.get("value"), str) and _SECRET_NAME.search(str(value["name"])):
            kept = value["value"] if _HARMLESS.match(value["value"]) or not value["value"] else "[redacted value]"
            return {**value, "value": kept}  # an environment variable
        return {key: _walk(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        hidden = [False, *(isinstance(entry, str) and bool(_ARGUMENT.match(entry)) for entry in value)]
        return [
            "[redacted value]" if hide and isinstance(entry, str) and not entry.startswith("-") else _walk(entry)
            for hide, entry in zip(hidden, value, strict=False)
        ]
    return redact(value) if isinstance(value, str) and len(value) > 7 else value
