"""The real Hub: the official client library for everything but the order of writing and hashing.

Tokens are found by the library (environment, official token file) and stay in its request headers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from toolkit import __version__
from toolkit.adapters.hub.errors import Wanted, no_safetensors, nonsense
from toolkit.adapters.hub.port import Advance, HubFile, RepoInfo
from toolkit.domain.snapshot import FileDigest
from toolkit.domain.tensors import Tensor
from toolkit.errors import SourceError

# The library sends usage data unless told otherwise before it is imported.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import SafetensorsParsingError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import (
    HFValidationError,
    build_hf_headers,
    get_session,
    hf_raise_for_status,
    logging,
)

from toolkit.adapters.hub.transfer import fetch_file
from toolkit.adapters.hub.translate import EXPECTED, pause_before_retry, translate

SMALL = 64 * 2**20
T = TypeVar("T")


class HuggingFaceHub:
    """`Hub` over HTTP. `tries` bounds attempts in a row without progress, `pause` (s) doubles."""

    def __init__(self, endpoint: str | None = None, *, tries: int = 5, pause: float = 0.5) -> None:
        # Its warnings would break the progress display and say what our errors say.
        logging.set_verbosity_error()
        self.endpoint = (endpoint or constants.ENDPOINT).rstrip("/")
        self._tries = tries
        self._pause = pause
        self._api = HfApi(
            endpoint=self.endpoint, library_name="open-weights-toolkit", library_version=__version__
        )

    def resolve(self, repo: str, ref: str) -> RepoInfo:
        """See `Hub.resolve`."""
        wanted = Wanted(self.endpoint, repo, ref)
        info = self._patiently(
            wanted,
            lambda: self._api.model_info(repo, revision=ref, timeout=constants.HF_HUB_ETAG_TIMEOUT),
        )
        if not info.sha:
            raise nonsense(wanted)
        return RepoInfo(info.sha, _licence(info.card_data, info.tags), bool(info.gated))

    def files(self, repo: str, revision: str) -> tuple[HubFile, ...]:
        """See `Hub.files`."""
        wanted = Wanted(self.endpoint, repo, revision)
        url: str | None = (
            f"{self.endpoint}/api/models/{repo}/tree/{revision}?recursive=true&expand=false"
        )
        found: list[HubFile] = []
        while url:
            page, url = self._patiently(wanted, lambda here=url: self._page(here))  # type: ignore[misc]
            found += page
        return tuple(sorted(found, key=lambda file: file.path))

    def read_small(self, repo: str, revision: str, path: str) -> bytes:
        """See `Hub.read_small`."""
        wanted = Wanted(self.endpoint, repo, revision, path)
        return self._patiently(wanted, lambda: self._read(wanted))

    def tensors(self, repo: str, revision: str, path: str) -> tuple[Tensor, ...]:
        """See `Hub.tensors`."""
        wanted = Wanted(self.endpoint, repo, revision, path)
        return self._patiently(wanted, lambda: self._tensors(wanted))

    def download(
        self, repo: str, revision: str, file: FileDigest, into: Path, progress: Advance
    ) -> str:
        """See `Hub.download`."""
        wanted = Wanted(self.endpoint, repo, revision, file.path)
        headers = self._headers()
        return fetch_file(
            wanted, self._url(wanted), headers, file, into, progress, self._tries, self._pause
        )

    def _tensors(self, wanted: Wanted) -> tuple[Tensor, ...]:
        try:
            header = self._api.parse_safetensors_file_metadata(
                wanted.repo,
                wanted.path,
                revision=wanted.revision,
                timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
            )
        except SafetensorsParsingError as error:
            raise no_safetensors(wanted) from error
        found = (
            Tensor(name, each.dtype, tuple(each.shape), each.data_offsets[1] - each.data_offsets[0])
            for name, each in header.tensors.items()
        )
        return tuple(sorted(found, key=lambda tensor: tensor.name))

    def _page(self, url: str) -> tuple[list[HubFile], str | None]:
        # HfApi.list_repo_tree waits without limit and sleeps minutes when rate limited.
        response = get_session().get(
            url, headers=self._headers(), timeout=constants.HF_HUB_ETAG_TIMEOUT
        )
        hf_raise_for_status(response)
        following = response.links.get("next", {}).get("url")
        if following:
            # A page may name another address; the token goes to this endpoint alone.
            parts = urlsplit(following)
            following = f"{self.endpoint}{parts.path}?{parts.query}"
        entries = response.json()
        if not isinstance(entries, list):
            raise TypeError("a listing is a list")
        files = [_hub_file(entry) for entry in entries if entry["type"] == "file"]
        return files, following

    def _read(self, wanted: Wanted) -> bytes:
        with get_session().stream(
            "GET",
            self._url(wanted),
            headers=self._headers(),
            timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
        ) as response:
            hf_raise_for_status(response)
            content = bytearray()
            for piece in response.iter_bytes():
                content += piece
                if len(content) > SMALL:
                    raise SourceError(
                        f"{wanted.path} of {wanted.repo} is larger than {SMALL} bytes",
                        hint="it has to be downloaded as a file: toolkit pull MODEL",
                    )
        return bytes(content)

    def _url(self, wanted: Wanted) -> str:
        return hf_hub_url(
            wanted.repo, wanted.path, revision=wanted.revision, endpoint=self.endpoint
        )

    def _headers(self) -> dict[str, str]:
        return build_hf_headers(
            library_name="open-weights-toolkit",
            library_version=__version__,
            headers={"Accept-Encoding": "identity"},
        )

    def _patiently(self, wanted: Wanted, ask: Callable[[], T]) -> T:
        """Ask, again after drops and failures of the server, and raise errors in our words."""
        attempt = 0
        while True:
            attempt += 1
            try:
                return ask()
            except EXPECTED as error:
                pause = pause_before_retry(error, attempt, self._pause)
                if pause is None or attempt >= self._tries:
                    raise translate(error, wanted) from error
                time.sleep(pause)
            except HFValidationError as error:
                raise SourceError(
                    f"{wanted.repo!r} is not the name of a repository",
                    hint="write it like owner/name",
                ) from error
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise nonsense(wanted) from error


def _licence(card: Any, tags: list[str] | None) -> str:
    """Return the licence of the card, else that of the tags; `other` gives way to its full name."""
    licence = getattr(card, "license", None)
    if isinstance(licence, list):
        licence = licence[0] if licence else None
    if licence == "other":
        licence = getattr(card, "license_name", None) or licence
    if not licence:
        marked = [tag for tag in tags or () if tag.startswith("license:")]
        licence = marked[0].partition(":")[2] if marked else ""
    return str(licence).lower()


def _hub_file(entry: dict[str, Any]) -> HubFile:
    file = RepoFile(**entry)
    if file.lfs is not None:
        return HubFile(file.path, file.lfs.size, file.lfs.sha256, "")
    return HubFile(file.path, file.size, "", file.blob_id)
