"""The Hub's listing of models (`GET /api/models`), with the filters that a mirror can answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from starlette.datastructures import QueryParams

from toolkit.adapters.mirror.source import model_card
from toolkit.adapters.store.manifest import StoredSnapshot
from toolkit.domain.outside import shown

MOST = 1000
# Filters on facts that a mirror does not know of a model.
UNKNOWN = frozenset(
    ("apps", "gated", "inference", "inference_provider", "num_parameters", "pipeline_tag")
)
# The fields of a document in a listing, as at the Hub, unless the query wants more.
_BRIEF = ("_id", "id", "modelId", "createdAt", "private", "likes", "downloads", "tags")
_FULL = (*_BRIEF, "author", "sha", "lastModified", "gated", "disabled", "siblings")
_BY_TIME = ("lastModified", "createdAt", "last_modified", "created_at")


class FilterError(ValueError):
    """A listing is asked for by what a mirror does not know."""


def listing(newest: Iterable[StoredSnapshot], query: QueryParams) -> list[dict[str, Any]]:
    """Return the documents of the repositories whose newest snapshots these are, as the query wants them.

    Raises FilterError for a filter that the mirror cannot answer, and for a `limit` that is no number.
    """
    if unknown := sorted(UNKNOWN & query.keys()):
        raise FilterError(f"this mirror does not know {', '.join(unknown)} of a model")
    cards = [model_card(each.source, each, blobs=False) for each in newest]
    found = [card for card in cards if _fits(card, query)]
    found.sort(key=lambda card: str(card["id"]).lower())
    if query.get("sort") in _BY_TIME:
        found.sort(key=lambda card: str(card["lastModified"]), reverse=True)
    wanted = _wanted(query)
    return [
        {name: card[name] for name in wanted if name in card} for card in found[: _limit(query)]
    ]


def _wanted(query: QueryParams) -> tuple[str, ...]:
    if expanded := (*query.getlist("expand"), *query.getlist("expand[]")):
        return ("_id", "id", "modelId", *expanded)
    is_full = query.get("full", "").lower() in ("true", "1")
    has_card = query.get("cardData", "").lower() in ("true", "1")
    return (*(_FULL if is_full else _BRIEF), *(["cardData"] if has_card else []))


def _fits(card: dict[str, Any], query: QueryParams) -> bool:
    name = str(card["id"]).lower()
    wanted: Sequence[str] = query.getlist("filter")
    return (
        query.get("search", "").lower() in name
        and query.get("author", card["author"]).lower() == str(card["author"]).lower()
        and all(tag in card["tags"] for tag in wanted)
    )


def _limit(query: QueryParams) -> int:
    text = query.get("limit", str(MOST))
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        # The answer's header has these words too, in ASCII.
        raise FilterError(f"limit is {shown(text)}, and must be a number")
    return min(int(text), MOST)
