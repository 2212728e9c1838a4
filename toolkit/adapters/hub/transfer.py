"""Download one file over HTTP, written and hashed in one pass. A later process can resume it."""

from __future__ import annotations

import importlib.util
import re
import shutil
import time
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download
from huggingface_hub.errors import XetDownloadError
from huggingface_hub.utils import get_session, hf_raise_for_status

from toolkit.adapters.hub.errors import HubAddress
from toolkit.adapters.hub.port import Advance
from toolkit.adapters.hub.translate import EXPECTED, pause_before_retry, translate
from toolkit.adapters.store.hashing import GrowingFile
from toolkit.domain.snapshot import FileDigest
from toolkit.errors import IntegrityError

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def fetch_file(
    address: HubAddress,
    url: str,
    headers: dict[str, str],
    file: FileDigest,
    into: Path,
    progress: Advance,
    tries: int,
    pause: float,
) -> str:
    """Do `Hub.download`, with at most `tries` attempts in a row without progress and `pause` seconds between them."""
    with GrowingFile(into, progress) as growing:
        if growing.size > file.size:
            growing.restart()
        failures = 0
        xet = not constants.HF_HUB_DISABLE_XET and importlib.util.find_spec("hf_xet") is not None
        while growing.size < file.size:
            before = growing.size
            try:
                if _is_in_xet(address, url, headers, file) and xet:
                    # Try Xet once: a mirror may name Xet without offering it, and every Hub serves HTTP.
                    xet = False
                    if _through_xet(address, growing, into, progress):
                        continue
                _continue_over_http(address, url, headers, file, growing)
            except EXPECTED as error:
                growing.flush()
                failures = 1 if growing.size > before else failures + 1
                wait = pause_before_retry(error, failures, pause)
                if wait is None or failures >= tries:
                    raise translate(error, address) from error
                time.sleep(wait)
        if growing.size > file.size:
            raise _other_bytes(address, f"{growing.size} bytes", f"{file.size}")
        return growing.sha256()


def _is_in_xet(address: HubAddress, url: str, headers: dict[str, str], file: FileDigest) -> bool:
    """Return whether the server offers the file through Xet; raise IntegrityError if it is not the pinned file."""
    offered = get_hf_file_metadata(url, headers=headers, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    if offered.size is not None and offered.size != file.size:
        raise _other_bytes(address, f"{offered.size} bytes", f"{file.size}")
    if offered.etag and _SHA256.fullmatch(offered.etag) and offered.etag != file.sha256:
        raise _other_bytes(address, f"sha256 {offered.etag}", file.sha256)
    return offered.xet_file_data is not None


def _continue_over_http(
    address: HubAddress, url: str, headers: dict[str, str], file: FileDigest, growing: GrowingFile
) -> None:
    if growing.size:
        headers = {**headers, "Range": f"bytes={growing.size}-"}
    with get_session().stream(
        "GET", url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT
    ) as response:
        if response.status_code == 416:
            growing.restart()
            return
        hf_raise_for_status(response)
        if growing.size and not _continues_at(response, growing.size):
            growing.restart()
        for piece in response.iter_bytes():
            growing.write(piece)
            if growing.size > file.size:
                raise _other_bytes(address, f"more than {file.size} bytes", f"{file.size}")
    growing.flush()
    if growing.size < file.size:
        raise httpx2.RemoteProtocolError("the body ended early")


def _continues_at(response: httpx2.Response, size: int) -> bool:
    """Whether the answer starts at byte `size`. A server may ignore the Range header and send the whole file."""
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return response.status_code == 206 and found is not None and int(found[1]) == size


def _through_xet(address: HubAddress, growing: GrowingFile, into: Path, progress: Advance) -> bool:
    """Fetch the whole file with the library's Xet client; return whether that succeeded."""
    scratch = into.with_name(into.name + ".xet")
    bar = _bar_for(progress)
    try:
        found = hf_hub_download(
            address.repo,
            address.path,
            revision=address.revision,
            local_dir=scratch,
            endpoint=address.endpoint,
            tqdm_class=bar,
        )
        bar.take_back()
        growing.replace_with(Path(found))
    except (*EXPECTED, XetDownloadError, RuntimeError, OSError, ValueError):
        bar.take_back()
        return False
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return True


def _bar_for(progress: Advance) -> Any:
    """Return a class with those methods of tqdm that the library calls."""

    class Bar:
        shown = 0

        def __init__(self, *_args: Any, **options: Any) -> None:
            self.n = 0
            self.total = options.get("total")

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_error: object) -> None:
            pass

        def update(self, gained: int = 1) -> None:
            Bar.shown += gained
            progress(gained)

        def ignore(self, *_args: Any, **_options: Any) -> None:
            pass

        set_postfix_str = set_transfer_postfix_str = update_transfer = refresh = close = ignore

        @classmethod
        def take_back(cls) -> None:
            """Take the shown bytes back, because hashing or another download counts them again."""
            shown, cls.shown = cls.shown, 0
            if shown:
                progress(-shown)

    return Bar


def _other_bytes(address: HubAddress, offered: str, pinned: str) -> IntegrityError:
    return IntegrityError(
        f"{address.path} of {address.repo} is not the file that was pinned: "
        f"{address.endpoint} has {offered}, the lock says {pinned}",
        hint="do not use what this server gives; if the change is address, pin the new revision: "
        "toolkit registry pin MODEL",
    )
