"""The outbox: each notice is a file for each channel until it is delivered, so that no failure and no kill loses it.

A kernel lock keeps a file for the one command that delivers it. The lock of a killed command is gone.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from toolkit.domain.outside import checked, parse_mapping
from toolkit.domain.trail.notice import Notice
from toolkit.regular import claim, read_regular

MOST_FILES = 500
MOST_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Waiting:
    """A notice that waits for delivery on the channel of that name; without a `path` it is in memory alone.

    `refusals` counts the commands in which the channel refused it and took another one.
    """

    channel: str
    notice: Notice
    path: Path | None = None
    refusals: int = 0


class Outbox:
    """The outbox below `home`."""

    def __init__(self, home: Path) -> None:
        self.place = home / "outbox"
        self._claims: dict[str, int] = {}

    def put(self, channel: str, notice: Notice) -> Waiting:
        """Write a notice down for a channel, claimed; where the disk takes nothing it waits in memory."""
        # The same event on the same channel is one file, and files are ordered by time.
        mark = hashlib.sha256(f"{channel}\0{notice.id}".encode()).hexdigest()[:16]
        path = self.place / f"{notice.at:017.3f}-{mark}.json"
        temporary = self.place / f".{mark}.{secrets.token_hex(4)}"
        try:
            self.place.mkdir(parents=True, mode=0o700, exist_ok=True)
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
                file.write(json.dumps({"channel": channel, "notice": notice.as_json()}))
                file.flush()
                os.fsync(handle)
            # Before others see the file.
            self._keep(path, claim(temporary))
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            return Waiting(channel, notice)
        return Waiting(channel, notice, path)

    def waiting(self) -> Iterator[Waiting]:
        """Yield the waiting notices, the oldest first, and remove other files.

        Those before the last `MOST_FILES` are too many. A command claims a notice before it delivers or removes it.
        """
        with suppress(OSError):
            for path in sorted(self.place.glob("*.json")):
                try:
                    found = parse_mapping(read_regular(path), MOST_BYTES)
                    notice = checked(Notice.from_json(found["notice"]))
                    yield Waiting(str(found["channel"]), notice, path, _refusals(path))
                except OSError:
                    # Another command has delivered it meanwhile, or the disk does not give it back. Others wait too.
                    continue
                except (ValueError, KeyError, TypeError, AttributeError):
                    with suppress(OSError):
                        path.unlink(missing_ok=True)

    def claim(self, waiting: Waiting) -> bool:
        """Keep a notice for this command; false where it has it already, or where another one has or had it."""
        if not waiting.path:
            return True
        own = claim(waiting.path)
        self._keep(waiting.path, own)
        return own is not None

    def release(self, waiting: Waiting) -> None:
        """Leave a notice to others again, and to a later try."""
        if waiting.path and (own := self._claims.pop(_first(waiting.path), None)) is not None:
            os.close(own)

    def _keep(self, path: Path, own: int | None) -> None:
        if own is not None:
            former, self._claims[_first(path)] = self._claims.get(_first(path)), own
            if former is not None:
                os.close(former)

    def refused(self, waiting: Waiting) -> int:
        """Count one more refusal of a notice, and return how many there are; 0 where nothing is kept."""
        path, refusals = waiting.path, waiting.refusals + 1
        if not path:
            return 0
        # The count is in the name: writing the file anew could bring back what another command has delivered.
        with suppress(OSError):
            path.rename(path.with_name(f"{_first(path)}_{refusals}.json"))
        return refusals

    def remove(self, delivered: Waiting) -> None:
        """Remove a notice that was delivered or given up, and let go of it."""
        if not delivered.path:
            return
        with suppress(OSError):
            # A count of refusals has given it another name meanwhile.
            for path in self.place.glob(f"{_first(delivered.path)}*.json"):
                path.unlink(missing_ok=True)
        self.release(delivered)


def _first(path: Path) -> str:
    """Return the part of a notice's file name that stays."""
    return path.stem.partition("_")[0]


def _refusals(path: Path) -> int:
    count = path.stem.partition("_")[2]
    return int(count) if count.isdecimal() else 0
