"""Kubernetes resource quantities ("250m", "1.5Gi") as numbers.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

_SUFFIXES = {
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60,
    "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
}  # fmt: skip


def parse_quantity(text: str | float | None) -> float | None:
    """The number in base units (cores, bytes, pieces); None when absent or malformed."""
    if text is None:
        return None
    if isinstance(text, int | float):
        return float(text)
    stripped = text.strip()
    for suffix, factor in _SUFFIXES.items():
        if stripped.endswith(suffix):
            number = _number(stripped[: -len(suffix)])
            return None if number is None else number * factor
    return _number(stripped)


def render_bytes(amount: float) -> str:
    """``64Mi``: as people write limits. Rounded up to whole units."""
    for suffix in ("Gi", "Mi", "Ki"):
        factor = _SUFFIXES[suffix]
        if amount >= factor:
            whole = amount / factor
            return f"{whole:.0f}{suffix}" if abs(whole - round(whole)) < 0.05 else f"{whole:.1f}{suffix}"
    return f"{amount:.0f}"


def render_cpu(cores: float) -> str:
    """``250m`` or ``2``."""
    return f"{cores:g}" if cores == int(cores) else f"{round(cores * 1000)}m"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
