"""SVG as text: the few shapes that a dashboard is drawn with, and Grafana's dark colours. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

BACKGROUND, PANEL, BORDER = "#111217", "#181b1f", "#2a2d33"
TEXT, MUTED, FAINT = "#ccccdc", "#8e8f9b", "#26292e"
SERIES = (
    *("#73bf69", "#f2cc0c", "#5794f2", "#ff780a", "#f2495c", "#b877d9", "#37b8c9", "#c4a07a"),
    *("#96d98d", "#ffee52", "#8ab8ff", "#ffb357"),
)
STATES = {"green": "#73bf69", "orange": "#ff9830", "red": "#f2495c"}
HEAT = ("#4a2206", "#7a3a08", "#a9500c", "#d56a12", "#f08a2c", "#f9ac5f", "#fdd0a2")
_LETTER = 0.53  # of the font's size: how wide a letter is, about


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels."""

    x: float
    y: float
    w: float
    h: float

    @property
    def right(self) -> float:
        return self.x + self.w

    @property
    def bottom(self) -> float:
        return self.y + self.h

    def inside(self, left: float, top: float, right: float, bottom: float) -> Box:
        """Smaller by these."""
        return Box(self.x + left, self.y + top, self.w - left - right, self.h - top - bottom)


def document(width: float, height: float, shapes: Iterable[str], title: str) -> str:
    """The whole file."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(width)} {_n(height)}" role="img"'
            f' font-family="Inter, Helvetica, Arial, sans-serif" font-size="11" fill="{TEXT}">',
            f"<title>{escape(title)}</title>",
            rectangle(Box(0, 0, width, height), BACKGROUND),
            *shapes,
            "</svg>",
            "",
        ]
    )


def rectangle(box: Box, fill: str, *, border: str = "", radius: float = 0) -> str:
    """A filled rectangle."""
    stroke = f' stroke="{border}"' if border else ""
    round_off = f' rx="{_n(radius)}"' if radius else ""
    return (
        f'<rect x="{_n(box.x)}" y="{_n(box.y)}" width="{_n(max(box.w, 0))}" height="{_n(max(box.h, 0))}"'
        f' fill="{fill}"{stroke}{round_off}/>'
    )


def text(
    x: float, y: float, what: str, *, size: float = 11, fill: str = "", anchor: str = "", bold: bool = False
) -> str:
    """One line of text; ``y`` is its base line."""
    options = "".join(
        f' {name}="{value}"'
        for name, value in (
            ("font-size", _n(size) if size != 11 else ""),
            ("fill", fill),
            ("text-anchor", anchor),
            ("font-weight", "600" if bold else ""),
        )
        if value
    )
    return f'<text x="{_n(x)}" y="{_n(y)}"{options}>{escape(what)}</text>'


def fitted(what: str, width: float, size: float = 11) -> str:
    """As much of a text as fits into the width."""
    room = int(width / (size * _LETTER))
    return what if len(what) <= room else f"{what[: max(room - 1, 1)]}…"


def outline(points: Iterable[tuple[float, float]], stroke: str) -> str:
    """A line through the points."""
    return f'<path d="{_path(points)}" fill="none" stroke="{stroke}" stroke-width="1.3" stroke-linejoin="round"/>'


def area(points: list[tuple[float, float]], floor: list[tuple[float, float]], fill: str, opacity: float) -> str:
    """What is between two lines."""
    return f'<path d="{_path([*points, *reversed(floor)])}Z" fill="{fill}" fill-opacity="{opacity:g}"/>'


def cells(boxes: Iterable[Box], fill: str) -> str:
    """Many rectangles of one colour."""
    d = "".join(f"M{_n(box.x)} {_n(box.y)}h{_n(box.w)}v{_n(box.h)}h{_n(-box.w)}z" for box in boxes)
    return f'<path d="{d}" fill="{fill}"/>'


def horizontal(x: float, right: float, y: float) -> str:
    """A line of a plot's grid."""
    return f'<path d="M{_n(x)} {_n(y)}H{_n(right)}" stroke="{FAINT}"/>'


def vertical(x: float, y: float, bottom: float) -> str:
    """A line of a plot's grid."""
    return f'<path d="M{_n(x)} {_n(y)}V{_n(bottom)}" stroke="{FAINT}"/>'


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points)


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
