"""How the values of two fields compare: numbers and Kubernetes quantities by amount, texts as texts."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kubetriage.state.quantities import parse_quantity

_QUANTITY = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?(?P<unit>[KMGTPE]i|[numkMGTPE])?")
ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def number_of(value: Any) -> float | None:
    """The amount of a number or a quantity; None for anything else."""
    if isinstance(value, bool):
        return None
    try:
        if isinstance(value, int | float):
            return float(value)
        if isinstance(value, str) and len(value) <= 40 and _QUANTITY.fullmatch(value):
            return parse_quantity(value)
    except OverflowError:
        return None
    return None


def equal(left: Any, right: Any) -> bool:
    """``"1000m"`` is 1; but ``"1.0"`` and ``"1"`` are texts, such as two versions, and differ."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if left == right:
        return True
    if isinstance(left, str) and isinstance(right, str) and not (_has_unit(left) or _has_unit(right)):
        return False
    one, other = number_of(left), number_of(right)
    return one is not None and one == other


def _has_unit(text: str) -> bool:
    found = _QUANTITY.fullmatch(text) if len(text) <= 40 else None
    return found is not None and found["unit"] is not None


def is_in(value: Any, places: Iterable[Any]) -> bool:
    """Whether it is one of these, or an element of a list, or a key of a mapping among them."""
    for place in places:
        if isinstance(place, list | Mapping):
            if any(equal(value, entry) for entry in place):
                return True
        elif equal(value, place):
            return True
    return False


def contains(value: Any, part: Any) -> bool:
    """An element of a list, a key of a mapping, a piece of a text."""
    if isinstance(value, str):
        return isinstance(part, str) and part in value
    return isinstance(value, list | Mapping) and is_in(part, [value])


def compared(mark: str, left: Any, right: Any) -> bool:
    """``left mark right``. Only amounts have an order."""
    if mark in {"==", "!="}:
        return equal(left, right) is (mark == "==")
    one, other = number_of(left), number_of(right)
    return one is not None and other is not None and ORDER[mark](one, other)
