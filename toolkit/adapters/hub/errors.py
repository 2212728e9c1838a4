"""The words for everything that can go wrong with a Hub, each with the next command to type.

None of them repeats what the client library says: its texts carry signed addresses.
"""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.errors import SourceError

LOGIN = "hf auth login"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for, to name it in errors."""

    endpoint: str
    repo: str
    revision: str = ""
    path: str = ""


def gated(wanted: Wanted) -> SourceError:
    """The repository wants its terms accepted by name first."""
    return SourceError(
        f"{wanted.repo} is gated: its licence must be accepted before its files are given out",
        hint=f"accept it at {wanted.endpoint}/{wanted.repo}, then: {LOGIN}",
    )


def missing(wanted: Wanted) -> SourceError:
    """No such repository, or a private one: Hubs answer both alike."""
    return SourceError(
        f"{wanted.endpoint} has no repository {wanted.repo}, or it is private",
        hint=f"check the name; for a private repository: {LOGIN}",
    )


def no_revision(wanted: Wanted) -> SourceError:
    """The repository is there, the revision is not."""
    return SourceError(
        f"{wanted.repo} has no revision {wanted.revision}",
        hint="pin one that exists: toolkit registry pin MODEL main",
    )


def no_file(wanted: Wanted) -> SourceError:
    """The revision is there, the file is not."""
    return SourceError(
        f"{wanted.repo} has no file {wanted.path} at {wanted.revision}",
        hint="the lock may be of another revision; pin again: toolkit registry pin MODEL",
    )


def refused(wanted: Wanted) -> SourceError:
    """The token was not accepted, or lacks the right."""
    return SourceError(
        f"{wanted.endpoint} refused access to {wanted.repo} with the token in use",
        hint=f"make a token that may read it, then: {LOGIN}",
    )


def rate_limited(wanted: Wanted, seconds: int | None) -> SourceError:
    """Too many requests; the Hub may say for how long."""
    wait = f"{seconds} s" if seconds is not None else "a few minutes"
    return SourceError(
        f"{wanted.endpoint} limits the rate of requests; it takes them again in {wait}",
        hint=f"run the same command again in {wait}, what is there is kept; "
        f"with a token the limit is higher: {LOGIN}",
    )


def offline_by_choice(wanted: Wanted) -> SourceError:
    """HF_HUB_OFFLINE forbids every request."""
    return SourceError(
        f"{wanted.repo} cannot be asked for: HF_HUB_OFFLINE is set",
        hint="unset HF_HUB_OFFLINE",
    )


def unreachable(wanted: Wanted) -> SourceError:
    """No connection: nobody listens there, or the name is unknown."""
    return SourceError(
        f"{wanted.endpoint} cannot be reached (no connection)",
        hint="check the network, or name a mirror that is reachable: "
        "export HF_ENDPOINT=http://MIRROR:8090",
    )


def timed_out(wanted: Wanted) -> SourceError:
    """The server accepted the connection and then said nothing."""
    return SourceError(
        f"{wanted.endpoint} did not answer in time",
        hint="run the same command again, what is there is kept; for a slow line: "
        "export HF_HUB_DOWNLOAD_TIMEOUT=60 HF_HUB_ETAG_TIMEOUT=60",
    )


def dropped(wanted: Wanted) -> SourceError:
    """The connection broke again and again."""
    what = wanted.path or wanted.repo
    return SourceError(
        f"{wanted.endpoint} broke the connection while it sent {what}, several times in a row",
        hint="run the same command again: it goes on where it stopped",
    )


def server_failed(wanted: Wanted, status: int) -> SourceError:
    """The server has a problem of its own, or answered something no Hub answers."""
    return SourceError(
        f"{wanted.endpoint} answered {status} for {wanted.path or wanted.repo}",
        hint="run the same command again later, what is there is kept",
    )


def nonsense(wanted: Wanted) -> SourceError:
    """The answer is not one of a Hub."""
    return SourceError(
        f"{wanted.endpoint} gave an answer about {wanted.repo} that is not a Hub's",
        hint="check the address in HF_ENDPOINT",
    )


def no_safetensors(wanted: Wanted) -> SourceError:
    """The file's beginning is not the header that its name promises."""
    return SourceError(
        f"{wanted.path} of {wanted.repo} is no safetensors file",
        hint="choose another revision: toolkit registry pin MODEL",
    )
