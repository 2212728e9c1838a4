"""From the client library's exceptions to the toolkit's errors, and when to try again."""

from __future__ import annotations

import re

import httpx2
from huggingface_hub import errors as hub
from huggingface_hub.utils import parse_ratelimit_headers

from toolkit.adapters.hub.errors import Fault, HubAddress
from toolkit.adapters.hub.requests import TooSlowError
from toolkit.domain.bounds import WAIT_SECONDS
from toolkit.domain.excerpt import excerpt
from toolkit.errors import ToolkitError

# The exceptions that this module translates; any other is a bug and passes through.
EXPECTED = (
    hub.HfHubHTTPError,
    hub.OfflineModeIsEnabled,
    hub.FileMetadataError,
    httpx2.HTTPError,
    httpx2.InvalidURL,
)
# In seconds. Whether to wait longer is for the user to decide.
LONGEST_WAIT = 10
# The first match counts: the library derives GatedRepoError from RepositoryNotFoundError.
_FAULTS: tuple[tuple[type[Exception], Fault], ...] = (
    (hub.OfflineModeIsEnabled, Fault.OFFLINE),
    (hub.GatedRepoError, Fault.GATED),
    (hub.RevisionNotFoundError, Fault.NO_REVISION),
    (hub.RemoteEntryNotFoundError, Fault.NO_FILE),
    (hub.RepositoryNotFoundError, Fault.MISSING),
    (TooSlowError, Fault.TOO_SLOW),
    (httpx2.TimeoutException, Fault.TIMED_OUT),
    (httpx2.ConnectError, Fault.UNREACHABLE),
    (httpx2.ProxyError, Fault.UNREACHABLE),
    (httpx2.UnsupportedProtocol, Fault.UNREACHABLE),
    (httpx2.TransportError, Fault.DROPPED),
)


class Alike:
    """How often in a row tries have failed in the same way: `times`."""

    def __init__(self) -> None:
        self.times = 0
        self._kind: type[Exception] | None = None

    def failed(self, error: Exception) -> int:
        """Count a failed try; return `times`."""
        self.times = self.times + 1 if type(error) is self._kind else 1
        self._kind = type(error)
        return self.times


def translate(error: Exception, address: HubAddress, tries: int) -> ToolkitError:
    """Return the toolkit's error for one of `EXPECTED`, which ended so many tries in a row."""
    for kind, fault in _FAULTS:
        if isinstance(error, kind):
            if fault is Fault.NO_FILE and not address.path:
                # No file was asked for, so none can be missing.
                return Fault.NONSENSE.error(address)
            elsewhere = _elsewhere(error, address) if fault is Fault.UNREACHABLE else ""
            return (
                Fault.ELSEWHERE.error(address, host=elsewhere)
                if elsewhere
                else fault.error(address, tries=tries)
            )
    if not isinstance(error, hub.HfHubHTTPError):
        return Fault.NONSENSE.error(address)
    status, headers = error.response.status_code, error.response.headers
    if status == 403 or (status == 401 and "credentials" in headers.get("X-Error-Message", "")):
        return Fault.REFUSED.error(address)
    if status in (401, 404):
        return Fault.MISSING.error(address)
    if status == 429:
        seconds = retry_after(error.response)
        wait = f"{seconds} s" if seconds is not None else "a few minutes"
        return Fault.RATE_LIMITED.error(address, wait=wait)
    fault = Fault.SERVER_FAILED if status >= 500 or status == 408 else Fault.REJECTED
    return fault.error(address, status=status)


def _elsewhere(error: Exception, address: HubAddress) -> str:
    """Return the host that a redirect led to, without the rest of an address that may be signed; empty without one."""
    try:
        url, own = error.request.url, httpx2.URL(address.endpoint)  # type: ignore[attr-defined]
    except (RuntimeError, AttributeError, httpx2.InvalidURL):
        return ""
    if (url.scheme, url.host, url.port) == (own.scheme, own.host, own.port):
        return ""
    if url.scheme not in ("http", "https"):
        return f"an address of {excerpt(url.scheme)}"
    return excerpt(url.netloc.decode("ascii", "replace"))


def pause_before_retry(error: Exception, attempt: int, base: float) -> float | None:
    """Return the seconds to wait after failed try number `attempt` (from 1), None where no retry can help.

    `base` (seconds) is the first pause, which doubles with each try.
    """
    if isinstance(error, hub.HfHubHTTPError):
        status = error.response.status_code
        if status == 429:
            seconds = retry_after(error.response)
            return seconds if seconds is not None and seconds <= LONGEST_WAIT else None
        if status not in (408, 500, 502, 503, 504):
            return None
    elif isinstance(error, httpx2.ConnectError):
        # A name or port that does not answer will not answer within seconds: report it after one retry.
        return base if attempt == 1 else None
    elif not isinstance(error, httpx2.TransportError) or isinstance(
        error, httpx2.UnsupportedProtocol
    ):
        return None
    return float(min(base * 2 ** (attempt - 1), LONGEST_WAIT))


def retry_after(response: httpx2.Response) -> int | None:
    """Return the seconds after which the server accepts requests again, 1 at least, None where it does not say."""
    try:
        limits = parse_ratelimit_headers(response.headers)
    except ValueError:
        limits = None
    if limits is not None and limits.remaining == 0:
        seconds = int(limits.reset_in_seconds)
    else:
        said = response.headers.get("Retry-After", "").strip()
        # Python's isdigit and int take digits of other scripts too, which no server means.
        if not re.fullmatch(r"[0-9]{1,9}", said):
            return None
        seconds = int(said)
    return max(1, seconds) if 0 <= seconds <= WAIT_SECONDS else None
