"""`make previews`: a day with many attacks, recorded, and a picture of each dashboard on it in docs/previews."""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from bench.previews.answers import prometheus, told
from bench.previews.drawing import built, draw
from bench.previews.node import ToolError
from bench.previews.recording import SHOWN_FROM, record
from bench.previews.story import CAMPAIGN_SEEN, SHOWN, day

ROOT = Path(__file__).parents[3]
DASHBOARDS = ROOT / "grafana" / "dashboards"
PICTURES = ROOT / "docs" / "previews"
ENDS = {"wall": CAMPAIGN_SEEN}
"""Seconds since what is shown begins, at which a dashboard is looked at; all others at the end of it."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.previews", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the day that is told (default: 1)")
    parser.add_argument("--scrapes", type=Path, help="keep the recording here, and take it from here where it exists")
    parser.add_argument("dashboard", nargs="*", help="names of dashboards (default: all)")
    asked = parser.parse_args()
    names = asked.dashboard or sorted(path.stem for path in DASHBOARDS.glob("*.json"))
    PICTURES.mkdir(exist_ok=True)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            page = built()
            scrapes = asked.scrapes or Path(scratch) / "scrapes.om"
            if not scrapes.exists():
                began = time.perf_counter()
                record(day(asked.seed), Path(scratch), scrapes)
                print(f"recorded in {time.perf_counter() - began:.0f} s")
            with prometheus(scrapes, Path(scratch)) as answering:
                for name in names:
                    source = (DASHBOARDS / f"{name}.json").read_bytes()
                    known = told(json.loads(source), int(SHOWN_FROM + ENDS.get(name, SHOWN)), answering)
                    picture = draw(name, source, known, page, PICTURES)
                    print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size // 1024} KiB")
    except (ToolError, OSError) as fault:
        print(fault, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
