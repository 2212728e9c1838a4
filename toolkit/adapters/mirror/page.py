"""The pages of the mirror for people, and the answer to a git that clones from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from urllib.parse import quote

from starlette.responses import HTMLResponse, PlainTextResponse, Response

from toolkit.adapters.mirror.source import find_revision, refs, shown, tags
from toolkit.adapters.store.manifest import StoredSnapshot
from toolkit.domain.quantity import format_size

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}"
    "pre{background:#eee;padding:.8rem;overflow:auto}td,th{text-align:left;"
    "padding:.2rem 1rem .2rem 0;vertical-align:top}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}pre{background:#222}a{color:#8bf}}"
)
# A page is one document: nothing is loaded, and nothing runs.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def page(endpoint: str, repositories: Iterable[tuple[StoredSnapshot, ...]]) -> Response:
    """Return the page that lists repositories, the snapshots of each with the newest last, and says how to use them."""
    known = [each for each in repositories if each]
    first = known[0][-1].source if known else "OWNER/NAME"
    rows = (
        "".join(map(_row, known)) or "<tr><td>nothing yet: toolkit pull MODEL adds to it</td></tr>"
    )
    return _document(
        "Models",
        "<p>A read-only mirror of pinned and verified models, for clients of the Hugging Face Hub.</p>"
        f"{_commands(endpoint, 'hf models ls', f'hf download {first}')}"
        f"<table><tr><th>Repository<th>Versions<th>Licence<th>Size{rows}</table>",
    )


def page_of(endpoint: str, repo: str, revisions: Sequence[StoredSnapshot]) -> Response:
    """Return the page of a repository at the address that it has on the Hub: its versions, and the files of one."""
    newest, known = shown(revisions), tags(revisions)
    names = {
        each.revision: ", ".join(name for name, tagged in known.items() if tagged is each)
        for each in revisions
    }
    versions = "".join(
        f"<tr><td>{escape(names[each.revision] or '-')}<td>{escape(each.revision)}"
        f"<td>{escape(format_size(each.snapshot.size))}"
        for each in reversed(revisions)
    )
    # Without a version that is no candidate there is no `main`, which clients ask for by default.
    main = find_revision(revisions, "main")
    command = f"hf download {repo}" + ("" if main else f" --revision {newest.revision}")
    files = "".join(
        f"<tr><td>{escape(each.path)}<td>{escape(format_size(each.size))}"
        for each in newest.snapshot.files
    )
    return _document(
        repo,
        f"<p><a href=/>Models</a>. Licence: {escape(newest.licence or 'none named')}.</p>"
        f"{_commands(endpoint, command)}"
        f"<table><tr><th>Version<th>Commit<th>Size{versions}</table>"
        f"<h2>Files of {escape(names[newest.revision] or newest.revision[:12])}</h2>"
        f"<table><tr><th>File<th>Size{files}</table>",
    )


def _document(title: str, body: str) -> Response:
    text = (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        f'<meta name=viewport content="width=device-width"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1>{body}</html>"
    )
    return HTMLResponse(text, headers=_HEADERS)


def _commands(endpoint: str, *commands: str) -> str:
    return f"<pre>{escape(chr(10).join([f'export HF_ENDPOINT={endpoint}', *commands]))}</pre>"


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
    cells = (", ".join(names), newest.licence, format_size(newest.snapshot.size))
    link = f'<td><a href="/{quote(newest.source)}">{escape(newest.source)}</a>'
    return f"<tr>{link}" + "".join(f"<td>{escape(each)}" for each in cells)
