"""``python -m deploy.grafana.pictures --prometheus URL --out FOLDER``: a picture of every dashboard, as it is there."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from deploy.grafana.boards import DASHBOARDS
from deploy.grafana.pictures.data import Source, Span, variables_of
from deploy.grafana.pictures.page import draw


def write(prometheus: str, out: Path, span: Span) -> None:
    """One SVG file for each dashboard."""
    out.mkdir(parents=True, exist_ok=True)
    for board in DASHBOARDS:
        picture = draw(board, Source(prometheus, span, variables_of(board)))
        (out / f"{board['uid']}.svg").write_text(picture)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prometheus", required=True, metavar="URL")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER")
    parser.add_argument("--minutes", type=float, default=60, help="up to now")
    parser.add_argument("--scrape-seconds", type=float, default=30, help="how often Prometheus scrapes")
    given = parser.parse_args()
    now = time.time()
    write(
        given.prometheus,
        given.out,
        Span(start=now - given.minutes * 60, end=now, scrape_seconds=given.scrape_seconds),
    )


if __name__ == "__main__":
    main()
