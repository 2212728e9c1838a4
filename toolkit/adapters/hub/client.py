"""The real Hub, over its official client library. Downloads are written and hashed by `transfer`.

The library finds tokens itself (environment, official token file) and puts them into request headers only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlsplit

from toolkit import __version__
from toolkit.adapters.hub.answers import parse_commits, parse_listing, parse_repo_info
from toolkit.adapters.hub.errors import Fault, HubAddress
from toolkit.adapters.hub.port import Advance, Commit, HubFile, RepoInfo
from toolkit.domain.bounds import (
    ANSWER,
    ANSWER_SECONDS,
    COMMIT_PAGES,
    FILE_SECONDS,
    LISTED,
    LISTING_SECONDS,
    PAGES,
    SILENT_TRIES,
    SMALL_FILE,
)
from toolkit.domain.excerpt import plain
from toolkit.domain.files.snapshot import FileDigest
from toolkit.domain.files.tensors import PREFIX, Tensor, header_length, parse_header
from toolkit.errors import SourceError

# The library reads this when it is imported. Without it, the library sends usage data.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import httpx2
from huggingface_hub import constants, hf_hub_url
from huggingface_hub.utils import HFValidationError, build_hf_headers, logging, validate_repo_id

from toolkit.adapters.hub.requests import Pace, TooLargeError, opened, read_answer
from toolkit.adapters.hub.transfer import Download
from toolkit.adapters.hub.translate import EXPECTED, Alike, pause_before_retry, translate

# Most headers are shorter, so one request is enough for them.
_FIRST = 100_001
T = TypeVar("T")


class _OddError(ValueError):
    """An answer of the API that is none, with the reason in words of the toolkit's own, which name no address."""


def _understood(parse: Callable[[bytes], T], body: bytes) -> T:
    try:
        return parse(body)
    except ValueError as error:
        raise _OddError(plain(str(error))) from error


class HuggingFaceHub:
    """`Hub` over HTTP.

    A request fails after `tries` attempts in a row without progress. The first pause between them takes `pause`
    seconds, and each further one twice as long.
    """

    def __init__(self, endpoint: str | None = None, *, tries: int = 5, pause: float = 0.5) -> None:
        # The library's warnings would break the progress display and repeat the toolkit's errors.
        logging.set_verbosity_error()
        self.endpoint = (endpoint or constants.ENDPOINT).rstrip("/")
        self._tries = tries
        self._pause = pause

    def resolve(self, repo: str, ref: str) -> RepoInfo:
        address = HubAddress(self.endpoint, repo, ref)
        url = f"{self.endpoint}/api/models/{repo}/revision/{quote(ref, safe='')}"

        def ask() -> RepoInfo:
            validate_repo_id(repo)
            return _understood(parse_repo_info, self._api_answer(url)[0])

        return self._retried(address, ask)

    def commits(self, repo: str, ref: str) -> tuple[Commit, ...]:
        address = HubAddress(self.endpoint, repo, ref)
        url: str | None = f"{self.endpoint}/api/models/{repo}/commits/{quote(ref, safe='')}"
        found: list[Commit] = []
        for _ in range(COMMIT_PAGES):
            page, url = self._retried(address, partial(self._commit_page, str(url)))
            found += page
            if not url:
                break
        return tuple(found)

    def files(self, repo: str, revision: str) -> tuple[HubFile, ...]:
        address = HubAddress(self.endpoint, repo, revision)
        url = f"{self.endpoint}/api/models/{repo}/tree/{revision}?recursive=true&expand=false"
        found: list[HubFile] = []
        until = time.monotonic() + LISTING_SECONDS
        for _ in range(PAGES):
            page, following = self._retried(address, partial(self._page, url))
            found += page
            if not following:
                if len({file.path for file in found}) < len(found):
                    raise Fault.NONSENSE.error(address, why=": it lists a file twice")
                return tuple(sorted(found, key=lambda file: file.path))
            if following == url or len(found) > LISTED or time.monotonic() > until:
                break
            url = following
        raise Fault.ENDLESS.error(address)

    def read_small(self, repo: str, revision: str, path: str) -> bytes:
        address = HubAddress(self.endpoint, repo, revision, path)
        return self._retried(address, lambda: self._read(address))

    def tensors(self, repo: str, revision: str, path: str, size: int) -> tuple[Tensor, ...]:
        address = HubAddress(self.endpoint, repo, revision, path)
        return self._retried(address, lambda: self._tensors(address, size))

    def download(
        self, repo: str, revision: str, file: FileDigest, into: Path, progress: Advance
    ) -> str:
        address = HubAddress(self.endpoint, repo, revision, file.path)
        download = Download(address, self._url(address), self._headers(), file)
        return download.fetch(into, progress, self._tries, self._pause)

    def _tensors(self, address: HubAddress, size: int) -> tuple[Tensor, ...]:
        start = self._beginning(address, min(size, _FIRST)) if size else b""
        try:
            end = PREFIX + header_length(start, size)
            if end > len(start):
                start = self._beginning(address, end)
            return parse_header(start[PREFIX:end], size)
        except ValueError as error:
            raise Fault.NO_SAFETENSORS.error(address, why=str(error)) from error

    def _beginning(self, address: HubAddress, size: int) -> bytes:
        """Return the first `size` bytes of a file, from a server that may ignore the wish for a part."""
        headers = {**self._headers(), "Range": f"bytes=0-{size - 1}"}
        with opened(self._url(address), headers, constants.HF_HUB_DOWNLOAD_TIMEOUT) as response:
            pace, content = Pace(FILE_SECONDS), bytearray()
            for piece in response.iter_bytes():
                content += piece
                if len(content) >= size:
                    return bytes(content[:size])
                pace.gained(len(piece))
        if len(content) < min(size, PREFIX):
            raise httpx2.RemoteProtocolError("the body ended early")
        return bytes(content)

    def _api_answer(self, url: str) -> tuple[bytes, httpx2.Response]:
        # The library reads an answer of any size, and sleeps for minutes when its rate is limited.
        timeout = constants.HF_HUB_ETAG_TIMEOUT
        return read_answer(url, self._headers(), timeout, ANSWER, ANSWER_SECONDS)

    def _commit_page(self, url: str) -> tuple[list[Commit], str | None]:
        body, response = self._api_answer(url)
        return _understood(parse_commits, body), self._following(response)

    def _page(self, url: str) -> tuple[list[HubFile], str | None]:
        body, response = self._api_answer(url)
        return _understood(parse_listing, body), self._following(response)

    def _following(self, response: httpx2.Response) -> str | None:
        """Return the address of the next page, if there is one."""
        following = response.links.get("next", {}).get("url")
        if following:
            # The link may name another host, and the token must not leave this endpoint.
            parts = urlsplit(following)
            # A server below a path of its own names that path too, or passes on the Hub's own link.
            own = urlsplit(self.endpoint).path
            path = (
                parts.path.removeprefix(own) if parts.path.startswith(f"{own}/api/") else parts.path
            )
            return f"{self.endpoint}{path}?{parts.query}"
        return None

    def _read(self, address: HubAddress) -> bytes:
        timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
        try:
            url, headers = self._url(address), self._headers()
            return read_answer(url, headers, timeout, SMALL_FILE, FILE_SECONDS)[0]
        except TooLargeError:
            raise SourceError(
                f"{address.path} of {address.repo} is larger than {SMALL_FILE} bytes",
                hint="it has to be downloaded as a file: toolkit pull MODEL",
            ) from None

    def _url(self, address: HubAddress) -> str:
        return hf_hub_url(
            address.repo, address.path, revision=address.revision, endpoint=self.endpoint
        )

    def _headers(self) -> dict[str, str]:
        return build_hf_headers(
            library_name="open-weights-toolkit",
            library_version=__version__,
            headers={"Accept-Encoding": "identity"},
        )

    def _retried(self, address: HubAddress, request: Callable[[], T]) -> T:
        """Send a request, again after dropped connections and server failures; raise the toolkit's errors.

        A try that meets a silent or slow server takes long, and somebody waits: there are `SILENT_TRIES` of them.
        """
        attempt = silent = 0
        alike = Alike()
        while True:
            attempt += 1
            try:
                return request()
            except EXPECTED as error:
                times = alike.failed(error)
                pause = pause_before_retry(error, attempt, self._pause)
                silent += isinstance(error, httpx2.TimeoutException)
                if pause is None or attempt >= self._tries or silent >= SILENT_TRIES:
                    raise translate(error, address, times) from error
                time.sleep(pause)
            except HFValidationError as error:
                raise SourceError(
                    f"{address.repo!r} is not the name of a repository",
                    hint="write it like owner/name",
                ) from error
            except TooLargeError as error:
                raise Fault.TOO_LARGE.error(address) from error
            except _OddError as error:
                raise Fault.NONSENSE.error(address, why=f": {error}") from error
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                raise Fault.NONSENSE.error(address) from error
