"""From what the client library raises to the toolkit's errors, and when to try again."""

from __future__ import annotations

import httpx2
from huggingface_hub import errors as hub
from huggingface_hub.utils import parse_ratelimit_headers

from toolkit.adapters.hub import errors as words
from toolkit.adapters.hub.errors import Wanted
from toolkit.errors import SourceError, ToolkitError

# What the functions of this module understand; anything else is a bug and passes through.
EXPECTED = (
    hub.HfHubHTTPError,
    hub.OfflineModeIsEnabled,
    hub.FileMetadataError,
    httpx2.HTTPError,
    httpx2.InvalidURL,
)
# Longer waits are the person's decision.
LONGEST_WAIT = 10


def translate(error: Exception, wanted: Wanted) -> ToolkitError:
    """Return the toolkit's error for one of `EXPECTED`."""
    if isinstance(error, hub.OfflineModeIsEnabled):
        return words.offline_by_choice(wanted)
    if isinstance(error, hub.HfHubHTTPError):
        return _translate_answer(error, wanted)
    if isinstance(error, httpx2.TimeoutException):
        return words.timed_out(wanted)
    if isinstance(error, httpx2.ConnectError | httpx2.ProxyError | httpx2.UnsupportedProtocol):
        return words.unreachable(wanted)
    if isinstance(error, httpx2.TransportError):
        return words.dropped(wanted)
    return words.nonsense(wanted)


def _translate_answer(error: hub.HfHubHTTPError, wanted: Wanted) -> SourceError:
    # A gated repository is a missing one to the library's class tree, so it is asked first.
    if isinstance(error, hub.GatedRepoError):
        return words.gated(wanted)
    if isinstance(error, hub.RevisionNotFoundError):
        return words.no_revision(wanted)
    if isinstance(error, hub.RemoteEntryNotFoundError):
        return words.no_file(wanted)
    if isinstance(error, hub.RepositoryNotFoundError):
        return words.missing(wanted)
    response = error.response
    status = response.status_code
    if status == 401 and "credentials" in response.headers.get("X-Error-Message", ""):
        return words.refused(wanted)
    if status in (401, 404):
        return words.missing(wanted)
    if status == 403:
        return words.refused(wanted)
    if status == 429:
        return words.rate_limited(wanted, retry_after(response))
    return words.server_failed(wanted, status)


def pause_before_retry(error: Exception, attempt: int, base: float) -> float | None:
    """Return the seconds to wait before try number `attempt` + 1, or None where it is no use."""
    if isinstance(error, hub.HfHubHTTPError):
        status = error.response.status_code
        if status == 429:
            seconds = retry_after(error.response)
            return seconds if seconds is not None and seconds <= LONGEST_WAIT else None
        if status not in (408, 500, 502, 503, 504):
            return None
    elif isinstance(error, httpx2.ConnectError):
        # A name or port that does not answer is not going to within seconds: say so at once.
        return base if attempt == 1 else None
    elif not isinstance(error, httpx2.TransportError):
        return None
    return float(min(base * 2 ** (attempt - 1), LONGEST_WAIT))


def retry_after(response: httpx2.Response) -> int | None:
    """Return how many seconds the server asks to wait, if it says so."""
    limits = parse_ratelimit_headers(response.headers)
    if limits is not None and limits.remaining == 0:
        return int(limits.reset_in_seconds)
    seconds = response.headers.get("Retry-After", "").strip()
    return int(seconds) if seconds.isdigit() else None
