"""Numbers as Grafana writes them, and round steps for axes. Pure."""

from __future__ import annotations

import math

_THOUSANDS = ("", " K", " Mil", " Bil")
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")
_SUFFIXES = {"reqps": " req/s", "ops": " ops/s"}
# (from how many seconds, what one is worth, its name)
_TIMES = (
    (86400, 86400, "day"),
    (3600, 3600, "hour"),
    (60, 60, "min"),
    (1, 1, "s"),
    (1e-3, 1e-3, "ms"),
    (0, 1e-6, "µs"),
)


def written(value: float, unit: str) -> str:
    """The value with its unit, in three digits."""
    if unit == "percentunit":
        return f"{_digits(value * 100)}%"
    if unit == "s":
        return _seconds(value)
    if unit == "bytes":
        size, power = _scaled(value, 1024, len(_BYTES))
        return f"{_digits(size)} {_BYTES[power]}"
    size, power = _scaled(value, 1000, len(_THOUSANDS))
    return f"{_digits(size)}{_THOUSANDS[power]}{_SUFFIXES.get(unit, '')}"


def ticks(highest: float, lowest: float = 0.0, about: int = 4, base: float = 10.0) -> list[float]:
    """Round values from at or below ``lowest`` to at or above ``highest``; ``base`` 2 for bytes."""
    if highest <= lowest:
        highest = lowest + 1.0
    rough = (highest - lowest) / about
    power = base ** math.floor(math.log(rough, base))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first = math.floor(lowest / step)
    count = math.ceil(highest / step - 1e-9) - first
    return [(first + number) * step for number in range(count + 1)]


def _seconds(value: float) -> str:
    if value == 0:
        return "0 s"
    worth, name = next((worth, name) for least, worth, name in _TIMES if abs(value) >= least)
    return f"{_digits(value / worth)} {name}"


def _scaled(value: float, base: int, powers: int) -> tuple[float, int]:
    power = 0
    while abs(value) >= base and power < powers - 1:
        value, power = value / base, power + 1
    return value, power


def _digits(value: float) -> str:
    """Three digits at most behind the point, fewer before a larger number."""
    if value == 0:
        return "0"
    behind = max(0, 2 - math.floor(math.log10(abs(value)))) if abs(value) >= 0.001 else 4
    text = f"{value:.{min(behind, 4)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
