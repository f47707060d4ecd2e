"""Generated documents are as the code says: run ``make docs`` after changing it."""

from __future__ import annotations

from pathlib import Path

from kubetriage.cli.generate import render_causes, render_schema

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_causes_document_is_that_of_the_registry() -> None:
    assert (DOCS / "causes.md").read_text(encoding="utf-8") == render_causes()


def test_the_published_schema_is_that_of_the_contract() -> None:
    assert (DOCS / "diagnosis.schema.json").read_text(encoding="utf-8") == render_schema()
