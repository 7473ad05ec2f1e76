"""`python -m grafana.builder` writes the dashboards; `--check` only says whether they are as they would be written."""

import argparse
import sys
from pathlib import Path

from grafana.builder.frame import written
from grafana.builder.operator import operator
from grafana.builder.senders import senders
from grafana.builder.wall import wall

BOARDS = {"operator": operator, "wall": wall, "senders": senders}
DASHBOARDS = Path(__file__).parents[1] / "dashboards"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m grafana.builder", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is not up to date")
    check = parser.parse_args().check
    stale = 0
    for name, board in BOARDS.items():
        path, text = DASHBOARDS / f"{name}.json", written(board)
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if not check:
            path.write_text(text, encoding="utf-8")
        print(path.name, "is not up to date" if check else "written", file=sys.stderr if check else sys.stdout)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
