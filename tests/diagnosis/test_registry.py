"""The registry of causes promises nothing that no rule finds."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import kubetriage.diagnosis
from kubetriage.diagnosis.causes import CAUSES

FOLDER = Path(kubetriage.diagnosis.__file__).parent


def named() -> Iterator[re.Pattern[str]]:
    """Texts of the engine's code; the parts that code fills in stand for any word."""
    for path in FOLDER.rglob("*.py"):
        if path.name in {"causes.py", "signatures.py"}:  # the registry itself, and symptoms of the same names
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield re.compile(re.escape(node.value))
            elif isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
                yield re.compile("".join("[a-z]+" if part is None else re.escape(str(part)) for part in parts))


def test_every_cause_has_a_rule_that_names_it() -> None:
    patterns = [pattern for pattern in named() if "_" in pattern.pattern]
    paper = [code for code in CAUSES if not any(pattern.fullmatch(code) for pattern in patterns)]
    assert not paper
