"""Hashes that tie each entry to the one before: none can be changed, put in or taken out with the rest as it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

GENESIS = "0" * 64

Link = Mapping[str, Any]  # members of a ChainedEntry, as JSON has them


class ChainBrokenError(Exception):
    """Where the chain does not hold, and why."""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry: its sequence number (0: none yet) and hash."""

    sequence: int = 0
    hash: str = GENESIS

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"

    @classmethod
    def read(cls, text: str | None) -> Head:
        """The inverse of ``str``; raises ValueError. None is the head of an empty log."""
        if text is None:
            return cls()
        sequence, _, digest = text.partition(":")
        if len(digest) != len(GENESIS) or digest.strip("0123456789abcdef"):
            raise ValueError("a head reads like SEQUENCE:SHA256")
        return cls(int(sequence), digest)


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found to be in order. ``first`` above 1: older entries are not there (any more)."""

    count: int
    first: int
    head: Head


def digest(entry: Mapping[str, Any], previous: str) -> str:
    """The hash of an entry; the form of its JSON plays no part."""
    canonical = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(f"{previous}\n{canonical}".encode()).hexdigest()


def chained(entries: Iterable[Mapping[str, Any]], head: Head) -> tuple[list[Link], Head]:
    """The entries as links after ``head``, numbered, and the new head."""
    links: list[Link] = []
    for entry in entries:
        numbered = {**entry, "sequence": head.sequence + 1}
        hashed = digest(numbered, head.hash)
        links.append({"entry": numbered, "previous": head.hash, "hash": hashed})
        head = Head(head.sequence + 1, hashed)
    return links, head


def verify(links: Iterable[Link], *heads: Head) -> Verified:
    """The chain must contain all ``heads``: its own, and those that were kept elsewhere. Raises ChainBrokenError."""
    before: Head | None = None
    count = first = 0
    unseen = set(heads) - {Head()}
    for link in links:
        try:
            entry, previous, hashed = link["entry"], str(link["previous"]), str(link["hash"])
            sequence = int(entry["sequence"])
        except (KeyError, TypeError, ValueError) as error:
            raise ChainBrokenError(f"what comes after entry {before.sequence if before else 0} is no entry") from error
        if before is None:
            first, before = sequence, Head(sequence - 1, previous)
            if sequence == 1 and previous != GENESIS:
                raise ChainBrokenError("entry 1 does not begin the chain")
        if sequence != before.sequence + 1:
            raise ChainBrokenError(
                f"entry {before.sequence} is followed by {sequence}: some are missing or out of order"
            )
        if previous != before.hash:
            raise ChainBrokenError(f"entry {sequence} does not follow the entry before it")
        if digest(entry, previous) != hashed:
            raise ChainBrokenError(f"entry {sequence} was changed")
        before, count = Head(sequence, hashed), count + 1
        unseen.discard(before)
    if unseen:
        raise ChainBrokenError(f"the chain does not contain {min(map(str, unseen))}: it was cut off or written anew")
    return Verified(count, first, before or Head())
