"""Taking secrets out of text and objects before they are stored, logged, shown or sent to a model.

Patterns are best effort by nature; what they must never do is change what is no secret beyond
recognition, so each replaces the value only and says what it was.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubetriage.safety.named_values import VALUE, is_secret_value, replace_named_values
from kubetriage.safety.secret_names import is_secret_name
from kubetriage.safety.secret_shapes import replace_shapes

_SHORTEST = 7  # characters; no shape and no pair of a name and a value is shorter
# No hex: a digest is no base64 of text.
_BASE64 = re.compile(r"(?<![\w+/=.-])(?![0-9a-f]{24,}+(?![\w+/]))[A-Za-z0-9+/]{24,16384}+={0,2}(?![\w+/=-])")
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}+@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,6}\b")
_ADDRESS = re.compile(
    r"(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)|(?<![\w.:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{1,4}(?![\w:])",
    re.IGNORECASE,
)
_DROPPED_ANNOTATIONS = ("kubectl.kubernetes.io/last-applied-configuration",)


@dataclass(frozen=True, slots=True)
class Redactor:
    """Secrets always; ``emails`` and ``addresses`` (IPv4 and IPv6) where somebody wants them hidden, too."""

    emails: bool = False
    addresses: bool = False

    def text(self, text: str) -> str:
        """The text with each secret replaced by ``[redacted <what>]``."""
        if len(text) >= _SHORTEST:
            text = _BASE64.sub(_encoded, replace_named_values(replace_shapes(text)))
        if self.emails and "@" in text:
            text = _EMAIL.sub("[redacted email]", text)
        if self.addresses:
            text = _ADDRESS.sub(_address, text)
        return text

    def data(self, value: Any) -> Any:
        """JSON-like data with every string redacted, by its own shape and by the name that it has."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return self._mapping(value)
        if isinstance(value, list | tuple):
            hidden = [False, *(isinstance(entry, str) and _is_secret_flag(entry) for entry in value)]
            return [
                VALUE if hide and isinstance(entry, str) and not entry.startswith("-") else self.data(entry)
                for hide, entry in zip(hidden, value, strict=False)
            ]
        return value

    def _mapping(self, value: Mapping[str, Any]) -> dict[str, Any]:
        if value.get("kind") == "Secret":
            value = {key: entry for key, entry in value.items() if key not in {"data", "stringData"}}
        found = {
            key: VALUE
            if isinstance(entry, str) and is_secret_name(str(key)) and is_secret_value(entry)
            else self.data(entry)
            for key, entry in value.items()
        }
        variable = value.get("value")
        if (
            "name" in value
            and isinstance(variable, str)
            and is_secret_name(str(value["name"]))
            and is_secret_value(variable)
        ):
            found["value"] = VALUE  # an environment variable
        return found


_SECRETS = Redactor()


def redact(text: str) -> str:
    """The text with each secret replaced by ``[redacted <what>]``."""
    return _SECRETS.text(text)


def redact_object(item: Mapping[str, Any]) -> dict[str, Any]:
    """An API object without what nobody needs (managedFields) and with secret values replaced."""
    copy: dict[str, Any] = _SECRETS.data(item)
    about = copy.get("metadata") or {}
    about.pop("managedFields", None)
    for name in _DROPPED_ANNOTATIONS:
        (about.get("annotations") or {}).pop(name, None)
    if copy.get("kind") == "ConfigMap":
        copy.pop("binaryData", None)
    return copy


def _is_secret_flag(argument: str) -> bool:
    return argument.startswith("-") and "=" not in argument and " " not in argument and is_secret_name(argument)


def _address(match: re.Match[str]) -> str:
    try:
        ipaddress.ip_address(match[0])
    except ValueError:  # a time of day
        return match[0]
    return "[redacted address]"


def _encoded(match: re.Match[str]) -> str:
    """Base64 of something that holds a secret is one, too; a digest or a picture is not."""
    given = match[0].rstrip("=")
    try:
        inner = base64.b64decode(given + "=" * (-len(given) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return match[0]
    if not inner.isascii() or replace_named_values(replace_shapes(inner)) == inner:
        return match[0]
    return "[redacted base64]"
