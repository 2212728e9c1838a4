"""The style of a report: light and dark as the reader's system is, from a phone's width to a printed page."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from toolkit.cli.views.report.html import Html, raw, tag

_FILE = Path(__file__).with_name("report.css")


def style() -> tuple[Html, str]:
    """Return the page's style element, and its Content-Security-Policy: nothing is loaded, this style alone applies."""
    # Comments and line ends are for the file's readers.
    css = "".join(line.strip() for line in _FILE.read_text("utf-8").splitlines())
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return tag("style", raw(css)), policy
