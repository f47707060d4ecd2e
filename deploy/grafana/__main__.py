"""``python -m deploy.grafana`` writes the dashboards' JSON; with ``--check`` it says what is not up to date.

There is one copy, in the chart, because Helm reads no file outside of it; ``deploy/grafana/dashboards`` is a link.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from deploy.grafana.boards import DASHBOARDS

FOLDER = Path(__file__).resolve().parents[2] / "helm" / "kubetriage" / "dashboards"


def files() -> dict[Path, str]:
    """Every dashboard's file with its content."""
    return {
        FOLDER / f"{board['uid']}.json": json.dumps(board, indent=1, ensure_ascii=False) + "\n" for board in DASHBOARDS
    }


def main() -> None:
    """Writes them, or says which are not up to date; a file that is no dashboard of ours is not either."""
    wanted = files()
    present = {path: path.read_text() for path in FOLDER.glob("*.json")}
    stale = sorted(path.name for path in wanted.keys() | present.keys() if wanted.get(path) != present.get(path))
    if "--check" in sys.argv:
        sys.exit(f"not up to date: {', '.join(stale)}" if stale else 0)
    for path in present.keys() - wanted.keys():
        path.unlink()
    for path, content in wanted.items():
        path.write_text(content)
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
