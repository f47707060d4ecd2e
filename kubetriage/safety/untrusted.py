"""Text from a cluster or a runbook is data. Here it loses what could make it look like anything else."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

# Terminal escape sequences: OSC (to BEL or ST), CSI, and the two-byte ones. Bounded: a log may be one long line.
_ESCAPES = re.compile(r"\x1b(?:\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)?|\[[0-?]{0,64}[ -/]{0,16}[@-~]|[@-Z\\-_])")
_KEPT = frozenset("\n\t")
# Invisible without being a control character: variation selectors, Hangul fillers, the combining grapheme joiner.
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
_FENCE = re.compile(r"<(\s*/?\s*)(data|system|assistant|user|tool)\b", re.IGNORECASE)


def clean_text(text: str) -> str:
    """The text without control, format (bidi, zero-width, tag) and other invisible characters.

    Newlines and tabs stay; carriage returns become newlines, so that a line cannot overwrite another.
    """
    text = _ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    if text.isascii() and text.isprintable():
        return text
    kept = (c for c in text if c in _KEPT or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
    return _INVISIBLE.sub("", "".join(kept))


def clean_data(value: Any) -> Any:
    """JSON-like data with every string cleaned, names of fields excepted."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {key: clean_data(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [clean_data(entry) for entry in value]
    return value


def fence(text: str, source: str) -> str:
    """The text between marks that say it is data, with marks inside of it made harmless.

    ``source`` is a short name of where it comes from.
    """
    inner = _FENCE.sub("\u2039\\1\\2", clean_text(text))
    label = re.sub(r"[^\w./:@ -]", "", source)[:120]
    return f'<data source="{label}">\n{inner}\n</data>'
