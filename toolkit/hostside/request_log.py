"""The requests of this host as its router's access log has them, for people: how each ended, and why.

The log says in `end` alone that an answer was cut amid its body, because HAProxy knows it only once it writes the line;
here status and reason say so, see `access_log.ended`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator

import access_log
import last_lines
import log_places
import processes
import unlogged
from directory import open_plain
from documents import parsed
from wire import Document

# Lines of one answer, and bytes of a log that are searched for them.
MOST_LINES = 1000
_BYTES = 2**26
_MODEL = re.compile(r"[!-~]{1,200}\Z")


def read(root: str, model: str, lines: int, place: Document | None) -> Document:
    """Return {"requests": [...], "place": place, "more": whether there are more, "unlogged": what the log lacks}.

    The oldest request comes first.

    Without `place` these are the last `lines` requests, else those whose lines came after it. `model` selects one; with
    an empty one all requests are told, those that the router itself answered too. Raises ValueError where `model` is no
    name, and OSError or a subprocess's error where the log cannot be read.
    """
    if model and not _MODEL.match(model):
        raise ValueError("not the name of a model")
    log = log_places.of(root)
    if place is None or place.get("kind") != log.kind:
        # A line that is written meanwhile is told twice, and never lost.
        place = log.end()
        found = _last(root, model, min(lines, MOST_LINES))
        return {"requests": found, "place": place, "more": False, "unlogged": unlogged.read(root)}
    found = [each for each in map(_request, log.after(place)) if each]
    mine = [each for each in found if not model or each["model"] == model]
    more, lacks = log.more, unlogged.read(root)
    return {"requests": mine, "place": log.place, "more": more, "unlogged": lacks}


def _last(root: str, model: str, lines: int) -> list[Document]:
    found: list[Document] = []
    for text in _texts(root, model, lines) if lines else ():
        request = _request(text)
        if request and (not model or request["model"] == model):
            found.append(request)
            if len(found) == lines:
                break
    return found[::-1]


def _texts(root: str, model: str, lines: int) -> Iterable[str]:
    """Return lines of the log, the newest first: of the journal at most `lines` that are of `model`."""
    if processes.init_system() != "systemd":
        return _files(root)
    words = r'^\{"at":' + (f'.*"model":"{re.escape(model)}"' if model else "")
    return access_log.journal(root, words, lines)


def _files(root: str) -> Iterator[str]:
    left = _BYTES
    for name in access_log.names(root):
        try:
            handle = open_plain(name)
        except FileNotFoundError:
            continue
        size = os.fstat(handle).st_size
        for block in last_lines.blocks(handle, left):
            for line in block:
                yield line.decode("utf-8", "replace")
        left -= min(left, size)


def _request(line: str) -> Document | None:
    """Return a request of clients; None for what another host handed on, and for any other line."""
    try:
        found = parsed(line)
        status, reason = access_log.ended(found)
        # A line of an older toolkit has the tokens of an answer in one piece.
        tokens = found.get("tokens", {})
        return {
            "at": access_log.seconds(found["at"]),
            **{name: str(found[name]) for name in _TEXTS},
            "release": found["release"],
            "status": int(status),
            "reason": str(reason),
            "in": tokens.get("in"),
            "out": tokens.get("out"),
            **{name: found["ms"][name] for name in _TIMES},
            # A line of an older toolkit has none.
            "left_out": int(found.get("left_out", 0)),
        }
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError):
        return None


_TEXTS = ("client", "method", "path", "key", "model", "version", "slot", "request_id", "end")
_TIMES = ("request", "connect", "first_byte", "total")
