"""``make docs``: what is generated from the code, so that docs never drift from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from kubetriage.contracts.diagnosis import Diagnosis
from kubetriage.diagnosis import CAUSES


def render_causes() -> str:
    """docs/causes.md: every cause of the registry by domain."""
    return "\n".join(_lines()) + "\n"


def render_schema() -> str:
    """docs/diagnosis.schema.json: the wire contract of ``kubetriage diagnose -o json``."""
    return json.dumps(Diagnosis.model_json_schema(), indent=2) + "\n"


def _lines() -> Iterator[str]:
    yield "# Causes"
    yield ""
    yield f"The {len(CAUSES)} causes of the registry, by `make docs`. `kubetriage explain <cause>` says the same."
    for domain, group in groupby(
        sorted(CAUSES.values(), key=lambda entry: entry.domain), key=lambda entry: entry.domain
    ):
        yield ""
        yield f"## {domain}"
        for cause in group:
            yield ""
            yield f"### `{cause.code}`: {cause.title}"
            yield ""
            yield cause.meaning
            yield ""
            yield f"- Shows as: {cause.evidence}"
            yield f"- Fix: {cause.fix}"


def main() -> None:
    docs = Path(__file__).resolve().parents[2] / "docs"
    (docs / "causes.md").write_text(render_causes(), encoding="utf-8")
    (docs / "diagnosis.schema.json").write_text(render_schema(), encoding="utf-8")


if __name__ == "__main__":
    main()
