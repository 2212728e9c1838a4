"""Write a report of a made-up fleet, and pictures of it as a browser shows it.

    python scripts/show_report.py --to DIRECTORY [--year]      report.html, and a picture for each width and scheme
    python scripts/show_report.py --picture docs/report.png    the picture of the README

It needs Chromium.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.report.browser import picture, printed
from tests.report.made_up import NOW, YEAR, Size, made_cost, made_status, write_history
from toolkit.cli.views.report.page import page
from toolkit.planning.report.findings import UpstreamFindings
from toolkit.workflows.fleet.report import gather


def main() -> int:
    """Write what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--to", type=Path)
    parser.add_argument("--year", action="store_true")
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        size = YEAR if given.year else Size(hosts=3, models=3) if given.picture else Size()
        history = write_history(place / "history.db", size)
        cost = made_cost(history, size, place)
        since = NOW - size.days * 86_400
        found = gather(made_status(history, size), history, since, NOW, UpstreamFindings(), cost)
        file = place / "report.html"
        file.write_text(page(found), "utf-8")
        history.close()
        if given.picture:
            picture(file, given.picture, width=960, height=1104)
        if given.to:
            given.to.mkdir(parents=True, exist_ok=True)
            (given.to / "report.html").write_bytes(file.read_bytes())
            for width in (1200, 390):
                for dark in (False, True):
                    scheme = "dark" if dark else "light"
                    picture(file, given.to / f"{width}-{scheme}.png", width=width, dark=dark)
            printed(file, given.to / "report.pdf")
    return 0


if __name__ == "__main__":
    sys.exit(main())
