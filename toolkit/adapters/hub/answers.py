"""The answers of a Hub's API: from bytes to values, with nothing taken on trust."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from toolkit.adapters.hub.port import Commit, HubFile, RepoInfo
from toolkit.domain.bounds import ANSWER, TEXT
from toolkit.domain.outside import parse_json, parse_mapping, shown, text_of, whole
from toolkit.domain.registry.model import LICENCE_PATTERN

_SHA1 = re.compile(r"[0-9a-f]{40}\Z")
_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}\Z")
_LICENCE = re.compile(LICENCE_PATTERN)
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


def parse_repo_info(body: bytes) -> RepoInfo:
    """Return a Hub's description of a repository at a commit. Raises ValueError where `body` is none."""
    entry = parse_mapping(body, ANSWER)
    revision = text_of(entry.get("sha"), "its commit")
    if not _SHA1.match(revision):
        raise ValueError("its commit is none")
    card, tags = entry.get("cardData"), entry.get("tags")
    licence = _licence(
        card if isinstance(card, dict) else {}, tags if isinstance(tags, list) else []
    )
    return RepoInfo(revision, licence, bool(entry.get("gated")), _name(entry.get("id")))


def parse_listing(body: bytes) -> list[HubFile]:
    """Return the files of one page of a listing. Raises ValueError where it is no listing."""
    entries = parse_json(body, ANSWER)
    if not isinstance(entries, list):
        raise ValueError("a listing is a list")
    return [_file(entry) for entry in entries if _kind(entry) == "file"]


def parse_commits(body: bytes) -> list[Commit]:
    """Return the commits of one page of a branch. Raises ValueError where they are none."""
    entries = parse_json(body, ANSWER)
    if not isinstance(entries, list):
        raise ValueError("a list of commits is a list")
    return [_commit(entry) for entry in entries]


def _commit(entry: Any) -> Commit:
    if not isinstance(entry, dict):
        raise ValueError("a commit is a mapping")
    try:
        date = datetime.fromisoformat(text_of(entry.get("date"), "the date of a commit"))
    except OverflowError as error:
        raise ValueError("the date of a commit is none") from error
    # The Hub's dates are of UTC.
    moment = date if date.tzinfo else date.replace(tzinfo=UTC)
    return Commit(_digest(entry.get("id"), _SHA1), moment.timestamp())


def _name(value: Any) -> str:
    """Return the repository's own name; empty where a server gives none, or something else."""
    return value if isinstance(value, str) and _REPO.match(value) else ""


def _licence(card: dict[str, Any], tags: list[Any]) -> str:
    """Return the licence of the model card, else of the tags.

    For `other`, return the card's `license_name` where it is one that a registry can name. Raises ValueError.
    """
    licence = card.get("license")
    if isinstance(licence, list):
        licence = licence[0] if licence else None
    if licence == "other":
        named = card.get("license_name")
        licence = named if isinstance(named, str) and _LICENCE.fullmatch(named.lower()) else licence
    if not licence:
        marked = [tag for tag in tags if isinstance(tag, str) and tag.startswith("license:")]
        licence = marked[0].partition(":")[2] if marked else ""
    found = text_of(licence, "its licence", TEXT).lower()
    if found and not _LICENCE.fullmatch(found):
        raise ValueError(f"its licence is {shown(found)}, which is not the id of one")
    return found


def _kind(entry: Any) -> str:
    if not isinstance(entry, dict):
        raise ValueError("an entry of a listing is a mapping")
    return text_of(entry.get("type"), "the type of an entry")


def _file(entry: dict[str, Any]) -> HubFile:
    path = text_of(entry.get("path"), "a path")
    lfs = entry.get("lfs")
    if lfs is None:
        return HubFile(
            path, whole(entry.get("size"), "a size"), "", _digest(entry.get("oid"), _SHA1)
        )
    if not isinstance(lfs, dict):
        raise ValueError("the entry of a large file is a mapping")
    # The Hub's API calls it oid, the client library sha256.
    sha256 = _digest(lfs.get("oid", lfs.get("sha256")), _SHA256)
    return HubFile(path, whole(lfs.get("size"), "a size"), sha256, "")


def _digest(value: Any, form: re.Pattern[str]) -> str:
    text = text_of(value, "a digest")
    if not form.match(text):
        raise ValueError("a digest is none")
    return text
