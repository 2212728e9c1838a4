"""Download one file over HTTP, written and hashed in one pass. A later process can resume it."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download
from huggingface_hub.errors import XetDownloadError

from toolkit.adapters.hub.errors import Fault, HubAddress
from toolkit.adapters.hub.port import Advance
from toolkit.adapters.hub.requests import Pace, begun, opened, steady
from toolkit.adapters.hub.translate import EXPECTED, Alike, pause_before_retry, translate
from toolkit.adapters.store.hashing import GrowingFile
from toolkit.domain.bounds import LEAST_GAIN, RESTARTS
from toolkit.domain.files.snapshot import FileDigest
from toolkit.errors import IntegrityError

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-[0-9]{1,19}/([0-9]{1,19}|\*)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Download:
    """The download of one file: `url` with its request `headers`, `file` with size and digest of its pin."""

    address: HubAddress
    url: str
    headers: Mapping[str, str]
    file: FileDigest

    def fetch(self, into: Path, progress: Advance, tries: int, pause: float) -> str:
        """Do `Hub.download`, with at most `tries` attempts in a row without progress.

        The first pause between two attempts takes `pause` seconds.
        """
        size, failures, restarts = self.file.size, _Failures(self.address, tries, pause), 0
        # Xet is tried once: a mirror may name Xet without offering it, and every Hub serves HTTP.
        xet = iter([not constants.HF_HUB_DISABLE_XET and find_spec("hf_xet") is not None])
        with GrowingFile(into, progress) as growing:
            if growing.size > size:
                growing.restart()
            while growing.size < size:
                before, begun_at = growing.size, growing.restarts
                try:
                    # A file with a git blob id is small and in git itself, never in Xet: one request is enough.
                    in_xet = not self.file.git_sha1 and self._is_in_xet()
                    if in_xet and next(xet, False) and self._through_xet(growing, into, progress):
                        continue
                    self._continue_over_http(growing)
                except EXPECTED as error:
                    growing.flush()
                    time.sleep(failures.pause_after(error, growing.size - before))
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                    raise Fault.NONSENSE.error(self.address) from error
                restarts += growing.restarts - begun_at
                if restarts > RESTARTS:
                    raise Fault.STARTS_OVER.error(self.address)
            if growing.size > size:
                raise self._other_bytes(f"{growing.size} bytes", f"{size}")
            return growing.sha256()

    def _is_in_xet(self) -> bool:
        """Return whether the server offers the file through Xet; raise IntegrityError if it is not the pinned file."""
        timeout, file = constants.HF_HUB_ETAG_TIMEOUT, self.file
        ask = partial(get_hf_file_metadata, self.url, headers=dict(self.headers), timeout=timeout)
        offered = begun(ask, timeout)
        if offered.size is not None and offered.size != file.size:
            raise self._other_bytes(f"{offered.size} bytes", f"{file.size}")
        if offered.etag and _SHA256.fullmatch(offered.etag) and offered.etag != file.sha256:
            raise self._other_bytes(f"sha256 {offered.etag}", file.sha256)
        return offered.xet_file_data is not None

    def _continue_over_http(self, growing: GrowingFile) -> None:
        headers, size = dict(self.headers), self.file.size
        if growing.size:
            headers["Range"] = f"bytes={growing.size}-"
        timeout, pace = constants.HF_HUB_DOWNLOAD_TIMEOUT, Pace()
        with opened(self.url, headers, timeout, accept=(416,) if growing.size else ()) as response:
            if response.status_code == 416:
                growing.restart()
                return
            if growing.size and not _continues_at(response, growing.size):
                growing.restart()
            for piece in response.iter_bytes():
                growing.write(piece)
                if growing.size > size:
                    raise self._other_bytes(f"more than {size} bytes", f"{size}")
                pace.gained(len(piece))
        growing.flush()
        if growing.size < size:
            raise httpx2.RemoteProtocolError("the body ended early")

    def _through_xet(self, growing: GrowingFile, into: Path, progress: Advance) -> bool:
        """Fetch the whole file with the library's Xet client; return whether that succeeded."""
        scratch = into.with_name(into.name + ".xet")
        bar = _bar_for(progress)
        fetch = partial(
            hf_hub_download,
            self.address.repo,
            self.address.path,
            revision=self.address.revision,
            local_dir=scratch,
            endpoint=self.address.endpoint,
            tqdm_class=bar,
        )
        try:
            found = steady(fetch, lambda: bar.shown)
            bar.take_back()
            growing.replace_with(Path(found))
        except (*EXPECTED, XetDownloadError, RuntimeError, OSError, ValueError):
            bar.given_up = True
            bar.take_back()
            return False
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return True

    def _other_bytes(self, offered: str, pinned: str) -> IntegrityError:
        address = self.address
        return IntegrityError(
            f"{address.path} of {address.repo} is not the file that was pinned: "
            f"{address.endpoint} has {offered}, the lock says {pinned}",
            hint="do not use what this server gives; if the change is wanted, pin the new revision: "
            "toolkit registry pin MODEL",
        )


class _Failures:
    """The failed attempts at a file of `address`: at most `tries` in a row without progress."""

    def __init__(self, address: HubAddress, tries: int, pause: float) -> None:
        self._address, self._tries, self._pause = address, tries, pause
        self._in_a_row, self._alike = 0, Alike()

    def pause_after(self, error: Exception, gained: int) -> float:
        """Return the seconds until the next attempt, after one that `gained` bytes; raises the last attempt's error."""
        # A server that sends a few bytes and breaks off makes no progress worth another series of tries.
        self._in_a_row = 1 if gained >= LEAST_GAIN else self._in_a_row + 1
        times = self._alike.failed(error)
        wait = pause_before_retry(error, self._in_a_row, self._pause)
        if wait is None or self._in_a_row >= self._tries:
            raise translate(error, self._address, times) from error
        return wait


def _continues_at(response: httpx2.Response, size: int) -> bool:
    """Whether the answer starts at byte `size`. A server may ignore the Range header and send the whole file."""
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return response.status_code == 206 and found is not None and int(found[1]) == size


def _bar_for(progress: Advance) -> Any:
    """Return a class with those methods of tqdm that the library calls."""

    class Bar:
        shown = 0
        given_up = False

        def __init__(self, *_args: Any, **options: Any) -> None:
            self.n = 0
            self.total = options.get("total")

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_error: object) -> None:
            pass

        def update(self, gained: int = 1) -> None:
            if Bar.given_up:
                raise RuntimeError("the file comes another way by now")
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
