"""The errors of a Hub, each with the next command to type.

No message repeats the client library's text, because that text contains signed addresses.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum

from toolkit.errors import SourceError


@dataclass(frozen=True, slots=True)
class HubAddress:
    """The subject of a request to a Hub, as error messages name it."""

    endpoint: str
    repo: str
    revision: str = ""
    path: str = ""


class Fault(Enum):
    """A way in which a request to a Hub fails: message and hint, with the fields of `error` in braces.

    Hubs give the same answer for a missing repository and for a private one. A server that does not answer in time
    has accepted the connection.
    """

    GATED = (
        "{repo} is gated: its licence must be accepted before its files are given out",
        "accept it at {endpoint}/{repo}, then: {login}",
    )
    MISSING = (
        "{endpoint} has no repository {repo}, or it is private",
        "check the name; for a private repository: {login}",
    )
    NO_REVISION = (
        "{repo} has no revision {revision}",
        "name a branch, a tag or a commit that is there: toolkit registry pin MODEL REF",
    )
    NO_FILE = (
        "{repo} has no file {path} at {revision}",
        "the lock may be of another revision; pin again: toolkit registry pin MODEL",
    )
    REFUSED = (
        "{endpoint} refused access to {repo} with the token in use",
        "make a token that may read it, then: {login}",
    )
    RATE_LIMITED = (
        "{endpoint} limits the rate of requests; it takes them again in {wait}",
        "run the same command again in {wait}, what is there is kept; "
        "with a token the limit is higher: {login}",
    )
    OFFLINE = ("{repo} cannot be asked for: HF_HUB_OFFLINE is set", "unset HF_HUB_OFFLINE")
    UNREACHABLE = (
        "{endpoint} cannot be reached (no connection)",
        "check the network, or name a mirror that is reachable: "
        "export HF_ENDPOINT=http://MIRROR:8090",
    )
    ELSEWHERE = (
        "{endpoint} leads to {host} for {what}, which cannot be reached",
        "let this machine reach it, or name a mirror that has the files itself: "
        "export HF_ENDPOINT=http://MIRROR:8090",
    )
    TIMED_OUT = (
        "{endpoint} did not answer in time",
        "run the same command again, what is there is kept; for a slow line: "
        "export HF_HUB_DOWNLOAD_TIMEOUT=60 HF_HUB_ETAG_TIMEOUT=60",
    )
    DROPPED = (
        "{endpoint} broke the connection while it sent {what}, {times}",
        "run the same command again: it goes on where it stopped",
    )
    TOO_SLOW = (
        "{endpoint} sends {what} slower than 1 KiB per second, {times}",
        "run the same command again later, what is there is kept; or name a faster mirror: "
        "export HF_ENDPOINT=http://MIRROR:8090",
    )
    STARTS_OVER = (
        "{endpoint} sends {what} from its beginning again and again",
        "what the server says about the file's parts contradicts itself; name another mirror: "
        "export HF_ENDPOINT=http://MIRROR:8090",
    )
    ENDLESS = (
        "{endpoint} lists the files of {repo} without an end",
        "check the address in HF_ENDPOINT",
    )
    TOO_LARGE = (
        "{endpoint} answers with more about {what} than such an answer may have",
        "check the address in HF_ENDPOINT",
    )
    REJECTED = (
        "{endpoint} answered {status} for {what}",
        "the same request will fail again: check the address in HF_ENDPOINT, and any proxy on the way",
    )
    SERVER_FAILED = (
        "{endpoint} answered {status} for {what}",
        "run the same command again later, what is there is kept",
    )
    NONSENSE = (
        "{endpoint} gave an answer about {repo} that is not a Hub's{why}",
        "check the address in HF_ENDPOINT; where it is right, another revision or repository may do",
    )
    NO_SAFETENSORS = (
        "{path} of {repo} is no safetensors file: {why}",
        "choose another revision: toolkit registry pin MODEL",
    )

    def error(
        self,
        address: HubAddress,
        *,
        wait: str = "",
        status: int = 0,
        why: str = "",
        host: str = "",
        tries: int = 1,
    ) -> SourceError:
        """Return the error.

        `wait` is the time of a rate limit, `status` the answer's HTTP status, `why` a reason, `host` another host,
        `tries` how often in a row it failed.
        """
        about = {**asdict(address), "what": address.path or address.repo, "login": "hf auth login"}
        more = {"wait": wait, "status": status, "why": why, "host": host, "times": _times(tries)}
        message, hint = (text.format(**about, **more) for text in self.value)
        error = SourceError(message, hint=hint)
        error.gone = self in (Fault.NO_REVISION, Fault.NO_FILE)
        error.missing = error.gone or self is Fault.MISSING
        error.closed = self in (Fault.GATED, Fault.REFUSED)
        return error


def _times(tries: int) -> str:
    return {1: "once", 2: "twice in a row"}.get(tries, f"{tries} times in a row")
