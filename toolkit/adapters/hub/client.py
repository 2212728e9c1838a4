"""The real Hub, over its official client library. Downloads are written and hashed by `transfer`.

The library finds tokens itself (environment, official token file) and puts them into request headers only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from toolkit import __version__
from toolkit.adapters.hub.errors import Fault, HubAddress
from toolkit.adapters.hub.port import Advance, HubFile, RepoInfo
from toolkit.domain.snapshot import FileDigest
from toolkit.domain.tensors import Tensor
from toolkit.errors import SourceError

# The library reads this when it is imported. Without it, the library sends usage data.
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

from toolkit.adapters.hub.transfer import Download
from toolkit.adapters.hub.translate import EXPECTED, pause_before_retry, translate

SMALL = 64 * 2**20
T = TypeVar("T")


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
        self._api = HfApi(
            endpoint=self.endpoint, library_name="open-weights-toolkit", library_version=__version__
        )

    def resolve(self, repo: str, ref: str) -> RepoInfo:
        address = HubAddress(self.endpoint, repo, ref)
        info = self._retried(
            address,
            lambda: self._api.model_info(repo, revision=ref, timeout=constants.HF_HUB_ETAG_TIMEOUT),
        )
        if not info.sha:
            raise Fault.NONSENSE.error(address)
        return RepoInfo(info.sha, _licence(info.card_data, info.tags), bool(info.gated))

    def files(self, repo: str, revision: str) -> tuple[HubFile, ...]:
        address = HubAddress(self.endpoint, repo, revision)
        url: str | None = (
            f"{self.endpoint}/api/models/{repo}/tree/{revision}?recursive=true&expand=false"
        )
        found: list[HubFile] = []
        while url:
            page, url = self._retried(address, partial(self._page, url))
            found += page
        return tuple(sorted(found, key=lambda file: file.path))

    def read_small(self, repo: str, revision: str, path: str) -> bytes:
        address = HubAddress(self.endpoint, repo, revision, path)
        return self._retried(address, lambda: self._read(address))

    def tensors(self, repo: str, revision: str, path: str) -> tuple[Tensor, ...]:
        address = HubAddress(self.endpoint, repo, revision, path)
        return self._retried(address, lambda: self._tensors(address))

    def download(
        self, repo: str, revision: str, file: FileDigest, into: Path, progress: Advance
    ) -> str:
        address = HubAddress(self.endpoint, repo, revision, file.path)
        download = Download(address, self._url(address), self._headers(), file)
        return download.fetch(into, progress, self._tries, self._pause)

    def _tensors(self, address: HubAddress) -> tuple[Tensor, ...]:
        try:
            header = self._api.parse_safetensors_file_metadata(
                address.repo,
                address.path,
                revision=address.revision,
                timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
            )
        except SafetensorsParsingError as error:
            raise Fault.NO_SAFETENSORS.error(address) from error
        found = (
            Tensor(name, each.dtype, tuple(each.shape), each.data_offsets[1] - each.data_offsets[0])
            for name, each in header.tensors.items()
        )
        return tuple(sorted(found, key=lambda tensor: tensor.name))

    def _page(self, url: str) -> tuple[list[HubFile], str | None]:
        # HfApi.list_repo_tree has no timeout and sleeps for minutes when rate limited.
        response = get_session().get(
            url, headers=self._headers(), timeout=constants.HF_HUB_ETAG_TIMEOUT
        )
        hf_raise_for_status(response)
        following = response.links.get("next", {}).get("url")
        if following:
            # The link may name another host, and the token must not leave this endpoint.
            parts = urlsplit(following)
            following = f"{self.endpoint}{parts.path}?{parts.query}"
        entries = response.json()
        if not isinstance(entries, list):
            raise TypeError("a listing is a list")
        files = [_hub_file(entry) for entry in entries if entry["type"] == "file"]
        return files, following

    def _read(self, address: HubAddress) -> bytes:
        with get_session().stream(
            "GET",
            self._url(address),
            headers=self._headers(),
            timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
        ) as response:
            hf_raise_for_status(response)
            content = bytearray()
            for piece in response.iter_bytes():
                content += piece
                if len(content) > SMALL:
                    raise SourceError(
                        f"{address.path} of {address.repo} is larger than {SMALL} bytes",
                        hint="it has to be downloaded as a file: toolkit pull MODEL",
                    )
        return bytes(content)

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
        """Send a request, again after dropped connections and server failures; raise the toolkit's errors."""
        attempt = 0
        while True:
            attempt += 1
            try:
                return request()
            except EXPECTED as error:
                pause = pause_before_retry(error, attempt, self._pause)
                if pause is None or attempt >= self._tries:
                    raise translate(error, address) from error
                time.sleep(pause)
            except HFValidationError as error:
                raise SourceError(
                    f"{address.repo!r} is not the name of a repository",
                    hint="write it like owner/name",
                ) from error
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise Fault.NONSENSE.error(address) from error


def _licence(card: Any, tags: list[str] | None) -> str:
    """Return the licence of the model card, else of the tags. For `other`, return the card's `license_name`."""
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
