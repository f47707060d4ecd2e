"""Container logs as they were read, and what was cut from them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogKey:
    """Which log: one container of one pod, its current run or the one before."""

    namespace: str
    pod: str
    container: str
    previous: bool = False


@dataclass(frozen=True, slots=True)
class LogText:
    """The tail of a log.

    ``samples_only``: not a tail but lines that a collector picked out (errors only), so absence of
    a line means nothing.
    """

    text: str
    truncated: bool = False
    samples_only: bool = False
