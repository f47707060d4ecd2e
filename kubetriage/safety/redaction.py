"""Taking secrets out of text and objects before they are stored, logged, shown or sent to a model.

Patterns are best effort by nature; what they must never do is change what is no secret beyond
recognition, so each replaces the value only and says what it was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_NAME = (
    r"(?:pass(?:word|wd|phrase)?|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credential|client[-_]?secret)"
)
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "private-key",
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    ),
    ("jwt", re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*")),
    ("aws-key", re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")),
    ("github-token", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})\b")),
    ("gitlab-token", re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}")),
    ("google-key", re.compile(r"\bAIza[A-Za-z0-9_-]{35}\b")),
    ("model-key", re.compile(r"\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{20,}")),
    ("slack-token", re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}|https://hooks\.slack\.com/services/\S+")),
    ("authorization", re.compile(r"(?<=bearer )[A-Za-z0-9._~+/=-]{8,}|(?<=basic )[A-Za-z0-9+/=]{8,}", re.IGNORECASE)),
    ("url-password", re.compile(r"(?<=://)([^\s:/@]+):([^\s@/]+)(?=@)")),
    (
        "value",
        re.compile(
            rf"""(?P<name>["']?[\w.-]*{_NAME}[\w.-]*["']?\s*[:=]\s*)(?P<quote>["']?)(?P<value>[^\s"',;}}&]{{3,}})(?P=quote)""",
            re.IGNORECASE,
        ),
    ),
)
_SECRET_NAME = re.compile(_NAME, re.IGNORECASE)
# References to secrets are names of objects, and needed; policies and paths are no secrets.
_HARMLESS = re.compile(r"^(?:null|none|true|false|yes|no|\(.*\)|<.*>|\$\{?.*|\[.*|/.*|\d{1,4})$", re.IGNORECASE)
_DROPPED_ANNOTATIONS = ("kubectl.kubernetes.io/last-applied-configuration",)


def redact(text: str) -> str:
    """The text with each secret replaced by ``[redacted <what>]``."""
    for what, pattern in _PATTERNS:
        if what == "value":
            text = pattern.sub(_value, text)
        elif what == "url-password":
            text = pattern.sub(r"\1:[redacted password]", text)
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
    found: dict[str, Any] = copy
    return found


def _value(match: re.Match[str]) -> str:
    if _HARMLESS.match(match["value"]) or match["value"].startswith("[redacted"):
        return match[0]
    return f"{match['name']}{match['quote']}[redacted value]{match['quote']}"


def _walk(value: Any) -> Any:
    if isinstance(value, Mapping):
        if "name" in value and isinstance(value.get("value"), str) and _SECRET_NAME.search(str(value["name"])):
            return {**value, "value": "[redacted value]"}  # an environment variable
        return {key: _walk(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_walk(entry) for entry in value]
    return redact(value) if isinstance(value, str) and len(value) > 7 else value
