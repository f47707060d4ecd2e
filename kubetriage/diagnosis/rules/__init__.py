"""The rules, a module per domain. ``all_rules`` collects the ``RULES`` of each."""

from __future__ import annotations

import importlib
import pkgutil
from functools import lru_cache

from kubetriage.diagnosis.rule import Rule


@lru_cache(maxsize=1)
def all_rules() -> tuple[Rule, ...]:
    """Every rule of this package, in the order of the module names."""
    found: list[Rule] = []
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda entry: entry.name):
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        found.extend(getattr(loaded, "RULES", ()))
    return tuple(found)
