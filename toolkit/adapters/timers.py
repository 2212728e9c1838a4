"""The timer of this ops machine's schedule: units of systemd, of the system or of a user, or a user's crontab."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from toolkit.adapters.store.files import replace_text
from toolkit.errors import InputError, ToolkitError
from toolkit.regular import read_regular

# Words of a command, its standard input -> exit code, standard output, standard error.
Run = Callable[[list[str], str], tuple[int, str, str]]


# The words of `crontab -l` where there is none: those of most systems, and of BusyBox.
_NO_CRONTAB = re.compile(r"no crontab|can't open '.*No such file")


def run(words: list[str], stdin: str = "") -> tuple[int, str, str]:
    """Run a command; return its exit code and what it printed. A command that is missing ends with 127."""
    try:
        # A crontab may have comments in any encoding, and keeps them.
        done = subprocess.run(
            words, input=stdin, capture_output=True, encoding="utf-8", errors="surrogateescape", timeout=60,
            check=False,
        )  # fmt: skip
    except FileNotFoundError:
        return 127, "", f"{words[0]} is not installed"
    except subprocess.TimeoutExpired:
        return 124, "", f"{words[0]} did not answer within 60 s"
    return done.returncode, done.stdout, done.stderr


@dataclass(frozen=True, slots=True)
class SystemdUnits:
    """Unit files in `directory`. They are started and stopped by systemd, unless `passive`.

    `user` is whether the manager is that of a user.
    """

    directory: Path
    user: bool = False
    passive: bool = False
    run: Run = run

    def read(self, name: str) -> str:
        """Return the text of a unit; empty where there is none."""
        try:
            return read_regular(self.directory / name).decode("utf-8", "surrogateescape")
        except OSError:
            return ""

    def check(self, texts: Mapping[str, str], calendars: tuple[str, ...]) -> None:
        """Raise ToolkitError where this machine's systemd does not understand units or calendar lines.

        Nothing is checked where `systemd-analyze` is missing.
        """
        for line in calendars:
            code, _, err = self.run(["systemd-analyze", "calendar", line], "")
            if code == 127:
                return
            if code:
                raise ToolkitError(
                    f"systemd does not understand {line!r}: {_last(err)}",
                    hint="an older systemd may lack that time zone; write another one",
                )
        with tempfile.TemporaryDirectory() as place:
            for name, text in texts.items():
                (Path(place) / name).write_text(text)
            units = [str(Path(place) / name) for name in texts]
            code, _, err = self.run(["systemd-analyze", "verify", "--man=no", *units], "")
            if code:
                raise ToolkitError(
                    f"systemd does not take the units: {_last(err)}",
                    hint="toolkit schedule install --to DIR writes them unasked",
                )

    def write(self, texts: Mapping[str, str], timer: str, begin: Callable[[], None]) -> bool:
        """Write all units, in their order, and start the timer; return whether anything changed.

        `begin` is called before the first change. Where any of that fails or is interrupted, all is as before. Raises
        ToolkitError.
        """
        before = {name: self.read(name) for name in texts}
        if before == dict(texts) and self.in_force(tuple(texts)):
            return False
        active = self._active(timer)
        begin()
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            for name, text in texts.items():
                replace_text(self.directory / name, text, mode=0o644)
            self._start(timer)
        except BaseException as error:
            # Ctrl-C too: a service without its timer would look installed.
            self._restore(before, timer, active=active)
            if not isinstance(error, OSError):
                raise
            raise ToolkitError(
                f"{error.filename} cannot be written: {error.strerror}; nothing is installed",
                hint="run it as the user who may, or write units elsewhere: --to DIR",
            ) from error
        return True

    def remove(self, names: tuple[str, ...], timer: str) -> bool:
        """Stop the timer and remove units, the timer first; return whether there were any.

        Where any of that fails or is interrupted, all is as before. Raises ToolkitError.
        """
        before = {name: text for name in names if (text := self.read(name))}
        if not before:
            return False
        active = timer in before and self._active(timer)
        try:
            if timer in before:
                self._told("disable", "--now", timer)
            for name in sorted(before, key=lambda each: each != timer):
                (self.directory / name).unlink(missing_ok=True)
            self._told("daemon-reload")
        except BaseException as error:
            self._restore({timer: "", **before}, timer, active=active)
            why = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else error
            if not isinstance(error, (OSError, ToolkitError)):
                raise
            raise ToolkitError(
                f"the timer cannot be removed: {why}; it is as before",
                hint="toolkit schedule remove, as the user who may; or the files alone: "
                f"toolkit schedule remove --to {self.directory}",
            ) from error
        return True

    def in_force(self, names: tuple[str, ...]) -> bool | None:
        """Whether systemd goes by these units as their files are, the timer among them; None where it does not say.

        A command that was killed between writing files and telling systemd leaves files that nothing goes by.
        """
        if self.passive:
            return True
        asked = ("ActiveState", "UnitFileState", "NeedDaemonReload")
        code, out, _ = self._systemctl("show", f"--property={','.join(asked)}", *names)
        said = out.split()
        known = {"ActiveState=active", "UnitFileState=enabled"} <= {*said}
        return None if code else known and "NeedDaemonReload=yes" not in said

    def _start(self, timer: str) -> None:
        try:
            for words in (["daemon-reload"], ["enable", timer], ["restart", timer]):
                self._told(*words)
        except ToolkitError as error:
            raise ToolkitError(
                f"systemd did not take the timer: {error.message}; nothing is installed",
                hint="systemctl status; or write the units elsewhere: toolkit schedule install --to DIR",
            ) from error

    def _active(self, timer: str) -> bool:
        return self.passive or self._systemctl("is-active", "--quiet", timer)[0] == 0

    def _restore(self, before: Mapping[str, str], timer: str, *, active: bool) -> None:
        """Bring back the units `before`, of which one without a text was not there, and a timer that was `active`."""
        if not before[timer] and not self.passive:
            self._systemctl("disable", "--now", timer)
        for name in reversed(list(before)):
            # One that cannot be taken back must not keep the others.
            with suppress(OSError):
                if before[name]:
                    replace_text(self.directory / name, before[name], mode=0o644)
                else:
                    (self.directory / name).unlink(missing_ok=True)
        if not self.passive:
            self._systemctl("daemon-reload")
        if before[timer] and active and not self.passive:
            # A timer that systemd did not take anew has stopped.
            self._systemctl("enable", timer)
            self._systemctl("restart", timer)

    def _told(self, *words: str) -> None:
        """Have systemd do something; raises ToolkitError where it does not."""
        code, _, err = (0, "", "") if self.passive else self._systemctl(*words)
        if code:
            raise ToolkitError(f"{' '.join(words)}: {_last(err)}", hint="systemctl status")

    def _systemctl(self, *words: str) -> tuple[int, str, str]:
        return self.run(["systemctl", *(["--user"] if self.user else []), *words], "")


@dataclass(frozen=True, slots=True)
class Crontab:
    """The crontab of this user."""

    run: Run = run

    def read(self) -> str:
        """Return its text; empty where there is none. Raises InputError where this machine has no cron."""
        code, out, err = self.run(["crontab", "-l"], "")
        if code not in (0, 127) and not _NO_CRONTAB.search(err):
            # Its lines would be lost with the next write.
            raise ToolkitError(f"the crontab cannot be read: {_last(err)}", hint="crontab -l")
        if code == 127:
            raise InputError(
                "this machine has neither systemd nor a crontab",
                hint="have something call every 10 minutes: toolkit schedule run --timer",
            )
        return out if code == 0 else ""

    def write(self, text: str) -> None:
        """Replace it; raises ToolkitError."""
        code, _, err = self.run(["crontab", "-"], text)
        if code:
            raise ToolkitError(
                f"cron did not take the lines: {_last(err)}; the crontab is as it was",
                hint="crontab -l shows it, and crontab -e changes it by hand",
            )


def units_here() -> SystemdUnits | None:
    """Return where the units of this user belong; None where systemd does not run this machine."""
    if not Path("/run/systemd/system").is_dir() or shutil.which("systemctl") is None:
        return None
    if os.geteuid() == 0:
        return SystemdUnits(Path("/etc/systemd/system"))
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return SystemdUnits(Path(base) / "systemd" / "user", user=True)


def lingers() -> bool:
    """Whether the user's manager runs without a session, so that its timers fire at night."""
    code, out, _ = run(["loginctl", "show-user", str(os.getuid()), "--property=Linger"])
    return code == 0 and out.strip() == "Linger=yes"


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it gave no reason"
