"""Regular expressions that take linear time, whatever the pattern and the text.

Python's own engine goes back on its steps, and a rule's pattern meets text that anybody in the cluster
may write. RE2 (https://github.com/google/re2/wiki/Syntax) does not: no look-around, no back-references.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

LONGEST_PATTERN = 200
LONGEST_TEXT = 2_048  # characters of the value that are looked at


class PatternError(ValueError):
    """Why a pattern is refused."""


@lru_cache(maxsize=256)
def compile_pattern(text: str) -> Callable[[str], bool]:
    """Whether the pattern is anywhere in the first LONGEST_TEXT characters of a text. Raises PatternError."""
    import re2  # noqa: PLC0415 - 5 ms that only rules with a pattern pay

    if len(text) > LONGEST_PATTERN:
        raise PatternError(f"the pattern is longer than {LONGEST_PATTERN} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        found = re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        raise PatternError(reason.decode() if isinstance(reason, bytes) else str(reason)) from None
    # Half a surrogate pair is no text for RE2.
    return lambda value: found.search(value[:LONGEST_TEXT].encode(errors="replace").decode()) is not None
