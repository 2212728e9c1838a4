"""The page of the mirror's address for people, and the answer to a git that clones from it."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from starlette.responses import HTMLResponse, PlainTextResponse, Response

from toolkit.adapters.mirror.source import refs, shown
from toolkit.adapters.store.manifest import StoredSnapshot
from toolkit.domain.quantity import format_size

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}"
    "pre{background:#eee;padding:.8rem;overflow:auto}td,th{text-align:left;"
    "padding:.2rem 1rem .2rem 0;vertical-align:top}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}pre{background:#222}}"
)
# The page is one document: nothing is loaded, and nothing runs.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def page(endpoint: str, repositories: Iterable[tuple[StoredSnapshot, ...]]) -> Response:
    """Return the page that lists repositories, the snapshots of each with the newest last, and says how to use them."""
    known = [each for each in repositories if each]
    first = known[0][-1].source if known else "OWNER/NAME"
    commands = f"export HF_ENDPOINT={endpoint}\nhf models ls\nhf download {first}"
    rows = (
        "".join(map(_row, known)) or "<tr><td>nothing yet: toolkit pull MODEL adds to it</td></tr>"
    )
    text = (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width"><title>Models</title>'
        f"<style>{_STYLE}</style><h1>Models</h1>"
        "<p>A read-only mirror of pinned and verified models, for clients of the Hugging Face Hub.</p>"
        f"<pre>{escape(commands)}</pre>"
        "<table><tr><th>Repository<th>Versions<th>Licence<th>Size"
        f"{rows}</table></html>"
    )
    return HTMLResponse(text, headers=_HEADERS)


def git_refusal(endpoint: str, repo: str, revisions: tuple[StoredSnapshot, ...]) -> Response:
    """Return the answer to `git clone`: git prints a plain text after `remote:`."""
    if not revisions:
        return PlainTextResponse(f"this mirror has no repository {repo}\n", status_code=404)
    words = (
        "this mirror serves files and not git; get them with:\n"
        f"  HF_ENDPOINT={endpoint} hf download {repo}\n"
    )
    return PlainTextResponse(words, status_code=403)


def _row(revisions: tuple[StoredSnapshot, ...]) -> str:
    newest = shown(revisions)
    names = [tag["name"] for tag in refs(revisions)["tags"]] or [newest.revision[:12]]
    cells = (newest.source, ", ".join(names), newest.licence, format_size(newest.snapshot.size))
    return "<tr>" + "".join(f"<td>{escape(each)}" for each in cells)
