"""How many secrets are found among many shapes, and what is taken for one that is none."""

from __future__ import annotations

import difflib
import tarfile

import pytest

from kubetriage.safety.redaction import redact
from kubetriage.telemetry.logging import redact_text
from tests.agent.support import SAMPLE
from tests.safety.secret_corpus import Sample, samples, survivors

CORPUS = samples()
_PIECE = 8  # characters; a rest this long would help to guess the others


def is_hidden(sample: Sample, cleaned: str) -> bool:
    """Whether no piece of the secret is left."""
    pieces = (sample.secret[at : at + _PIECE] for at in range(max(1, len(sample.secret) - _PIECE + 1)))
    return not any(piece in cleaned for piece in pieces)


def test_the_corpus_is_large_and_says_each_secret_once() -> None:
    assert len(CORPUS) >= 120
    assert len({sample.name for sample in CORPUS}) == len(CORPUS)
    assert all(sample.secret in sample.text or "pem" in sample.name for sample in CORPUS)


@pytest.mark.parametrize("hide", [redact, redact_text], ids=["text", "log"])
def test_at_least_98_of_100_secrets_are_found(hide: type[redact]) -> None:
    missed = [sample.name for sample in CORPUS if not is_hidden(sample, hide(sample.text))]
    assert len(missed) <= 0.02 * len(CORPUS), missed


def test_what_stands_around_a_secret_stays() -> None:
    """The line must still say what happened: half of each side is there, mostly all."""
    for sample in CORPUS:
        around = [part for part in sample.text.split(sample.secret) if len(part.split()) >= 3]
        cleaned = redact(sample.text)
        for part in around:
            kept = difflib.SequenceMatcher(None, part, cleaned, autojunk=False).find_longest_match()
            assert kept.size >= 0.5 * len(part) or "pem" in sample.name or "pgp" in sample.name, (sample.name, cleaned)


@pytest.mark.parametrize("line", survivors())
def test_names_digests_and_references_survive(line: str) -> None:
    assert redact(line) == line


def test_nothing_in_the_sample_clusters_logs_is_taken_for_a_secret() -> None:
    """Real logs of a real cluster, and its objects. docs/safety.md states the count."""
    changed, lines = [], 0
    with tarfile.open(SAMPLE) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream is None:
                continue
            for line in stream.read().decode().splitlines():
                lines += 1
                if redact(line) != line:
                    changed.append(line)
    assert lines > 10_000
    assert changed == []
