"""Let HAProxy check new files of the router before they are put in place."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

import router_files
import router_releases
import router_socket
import routes_file
import seals
from directory import Directory, require_own
from router_socket import RouterError

_FOR_THE_GROUP = 0o750


class Blind(RouterError):
    """The router that runs would not find its files at a reload."""

    hint = "toolkit provision --force"


def check(root: str, files: dict[str, str], *, runs: bool) -> None:
    """Have the router's user run `haproxy -c` on the new files in a directory of their own.

    Where a router `runs`, a reload must find its files too. One that is provisioned later has no base yet, and nothing
    is checked. Raises RouterError with its words. Root runs nothing here: a configuration can load programs.
    """
    directory = os.path.join(root, "router")
    has_base = bool(router_files.read(os.path.join(directory, "haproxy.cfg")))
    if runs:
        _require_sight(directory, has_base)
    if has_base:
        _check(root, directory, files)


def only_mends(root: str, former: Mapping[str, str | None], files: Mapping[str, str]) -> bool:
    """Whether the base is damaged or gone, and `files` take a reload for what somebody has changed of `former` alone.

    A damaged base refuses all files, and the role that writes it anew checks it with the files that are there. So these
    are mended first.
    """
    directory = os.path.join(root, "router")
    base, known = os.path.join(directory, "haproxy.cfg"), seals.read(root, "router")
    of_base = seals.read(root, "base").get(base)
    # Where all are gone, so was the directory: nothing is left to mend.
    if not of_base or not seals.file_fault(base, of_base) or not any(former.values()):
        return False
    sound = {
        name: files[name]
        if seals.file_fault(os.path.join(directory, name), known.get(name, ()))
        else text
        for name, text in former.items()
    }
    return not routes_file.needs_reload(sound, files)


def _require_sight(directory: str, has_base: bool) -> None:
    """Raise Blind where the files that every router reads are gone, or the running one cannot see them.

    systemd mounts the directory into the router's own view. Where it was removed since, a new one never shows there.
    """
    if not has_base:
        raise Blind("the router's configuration is gone, and a reload would find none")
    seen = f"/proc/{router_socket.processes(directory)['master']}/root{directory}"
    try:
        hidden = not os.path.samefile(seen, directory)
    except OSError:
        # It starts or ends at this moment, or the caller may not look there.
        return
    if hidden:
        raise Blind(
            "the router's directory was removed while it ran; only its restart brings it back"
        )


def _check(root: str, directory: str, files: dict[str, str]) -> None:
    # Below the root, where no other user can exchange the directory for another. The caller holds the router's lock.
    require_own(root)
    staged = os.path.join(root, ".router-next")
    shutil.rmtree(staged, ignore_errors=True)
    os.mkdir(staged, 0o700)
    try:
        user, group = router_files.reader(root)
        _fill(staged, directory, files, group)
        checked = _run(staged, user, group)
    finally:
        shutil.rmtree(staged)
    if checked.returncode:
        words = checked.stdout.replace(staged + "/", "").strip()
        raise RouterError(f"the router refuses its new files: {words}")


def _fill(staged: str, directory: str, files: dict[str, str], group: int) -> None:
    if os.geteuid() == 0:
        os.chown(staged, -1, group)
    os.chmod(staged, _FOR_THE_GROUP)
    base = router_files.read(os.path.join(directory, "haproxy.cfg")) or ""
    origin = "default-path origin "
    texts = {"haproxy.cfg": base.replace(origin + directory, origin + staged)}
    for name in (*router_files.FILES, "keys.map", "quotas.map", router_releases.MAP):
        texts[name] = files.get(name, router_files.read(os.path.join(directory, name)) or "")
    with Directory(staged) as opened:
        for name, text in texts.items():
            opened.write(name, text, router_files.PRIVATE)


def _run(staged: str, user: int, group: int) -> subprocess.CompletedProcess[str]:
    argv = ["haproxy", "-c"]
    for name in ("haproxy.cfg", "backends.cfg"):
        argv += ["-f", os.path.join(staged, name)]
    environment = dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    as_router: dict[str, Any] = {}
    if os.geteuid() == 0:
        as_router = {"user": user, "group": group, "extra_groups": []}
    try:
        return subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
            timeout=30,
            cwd="/",
            env=environment,
            **as_router,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise RouterError(f"haproxy could not check the new files: {error}") from None
