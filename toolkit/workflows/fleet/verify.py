"""Hash the snapshots on hosts and in the store again, and compare them with their pins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from toolkit.adapters.hosts.port import HostPort
from toolkit.adapters.store.store import Store
from toolkit.domain.deployment.release import Release
from toolkit.domain.files.snapshot import FileDigest, Snapshot, digest_of_files
from toolkit.domain.hosts.facts import HostFacts
from toolkit.errors import InterruptionError, ToolkitError
from toolkit.workflows.fleet.look import each_at_once
from toolkit.workflows.tools import Say

STORE = "the store"


@dataclass(frozen=True, slots=True)
class Verified:
    """A snapshot on a host (`where` is its name) or in the store: its users, and its differences file by file."""

    where: str
    digest: str
    used_by: tuple[str, ...]
    files: int
    size: int
    faults: tuple[str, ...]


def verify_host(
    host: HostPort, pinned: Callable[[str], Snapshot | None], say: Say
) -> tuple[Verified, ...]:
    """Return the state of every snapshot on the host; `pinned` returns the files of a known digest."""
    facts = host.observe()
    return tuple(_verify(host, facts, digest, pinned(digest), say) for digest in facts.snapshots)


def verify_engines(host: HostPort, say: Say) -> Mapping[str, tuple[str, ...]]:
    """Return in words what differs from the installation of each engine on the host, by its id; none for whole ones."""
    differing = {}
    for engine in host.observe().engines:
        say(f"hashing engine {engine} on {host.name}")
        found = host.check_engine(engine, lambda event: None)
        if not found.sealed:
            say(f"{host.name}: no digests of the installation of {engine}; those of today are kept")
            host.seal_engine(engine, lambda event: None)
        if found.faults:
            differing[engine] = found.faults
    return differing


def verify_store(store: Store, say: Say) -> tuple[Verified, ...]:
    """Return the state of every snapshot in the store of this ops machine."""
    found = []
    for stored in store.list():
        say(f"hashing {stored.source}@{stored.revision[:12]} in the store")
        snapshot = stored.snapshot
        faults = store.verify(snapshot)
        title = f"{stored.source}@{stored.revision[:12]}"
        found.append(
            Verified(STORE, snapshot.digest, (title,), len(snapshot.files), snapshot.size, faults)
        )
    return tuple(found)


def take_out_of_use(
    hosts: Sequence[HostPort],
    store: Store,
    found: Sequence[Verified],
    locked: Callable[[HostPort], AbstractContextManager[None]],
    pinned: Callable[[str], Snapshot | None],
    say: Say,
) -> tuple[list[str], dict[str, ToolkitError]]:
    """Take the damaged snapshots among `found` out of use, on all their hosts at once, under each host's lock.

    `locked` holds that lock. Returns what was done, a line each, and why hosts keep theirs, by name.
    """
    done = list(withdraw_damaged(store, found))
    for line in done:
        say(line)
    damaged = {each.where for each in found if each.faults}
    concerned = [host for host in hosts if host.name in damaged]

    def act(host: HostPort) -> ToolkitError | None:
        try:
            with locked(host):
                for line in put_aside(host, found, pinned, say):
                    say(line)
                    done.append(line)
        except InterruptionError:
            raise
        except ToolkitError as error:
            return error
        return None

    errors = zip(concerned, each_at_once(concerned, act), strict=True)
    return done, {host.name: error for host, error in errors if error}


def put_aside(
    host: HostPort,
    found: Iterable[Verified],
    pinned: Callable[[str], Snapshot | None],
    say: Say,
) -> tuple[str, ...]:
    """Take damaged snapshots of a host out of use, so that the next deployment brings whole ones.

    A replica that runs has its weights in memory and goes on. A snapshot that another command brought anew since it
    was `found` damaged stays: each is hashed again. Returns what was done, a line each.
    """
    done = []
    facts = host.observe()
    for each in found:
        if not each.faults or each.where != host.name or each.digest not in facts.snapshots:
            continue
        title = f"snapshot {each.digest[:12]}"
        if _verify(host, facts, each.digest, pinned(each.digest), say).faults:
            host.remove("snapshots", each.digest)
            done.append(f"removed {title} from {each.where}")
        else:
            done.append(f"{title} on {each.where} is as pinned by now, and stays")
    return tuple(done)


def withdraw_damaged(store: Store, found: Iterable[Verified]) -> tuple[str, ...]:
    """Take damaged snapshots out of the store, so that the next pull brings whole files; return a line for each.

    One that another command pulled anew since it was `found` damaged stays: each is hashed again.
    """
    done = []
    for each in found:
        if not each.faults or each.where != STORE:
            continue
        stored = [one.snapshot for one in store.list() if one.snapshot.digest == each.digest]
        wrong = [snapshot for snapshot in stored if store.verify(snapshot)]
        for snapshot in wrong:
            store.withdraw(snapshot)
        if wrong or not stored:
            done.append(f"withdrew {each.used_by[0]} from the store")
        else:
            done.append(f"{each.used_by[0]} in the store is as pinned by now, and stays")
    return tuple(done)


def pinned_in(store: Store, locked: Mapping[str, Snapshot]) -> Callable[[str], Snapshot | None]:
    """Return the look-up of a snapshot by digest in the lock, else in the store."""
    stored = {each.snapshot.digest: each.snapshot for each in store.list()}
    return lambda digest: locked.get(digest) or stored.get(digest)


def compare(
    digest: str, pinned: Snapshot | None, found: Mapping[str, FileDigest]
) -> tuple[str, ...]:
    """Return each difference between the files on a host and the pin.

    Without the pinned list the digest in the snapshot's name still shows that some file differs.
    """
    if pinned is None:
        same = digest_of_files(found.values()) == digest
        return () if same else ("its files do not have the digest it is named by",)
    faults = []
    for file in pinned.files:
        there = found.get(file.path)
        if there is None:
            faults.append(f"{file.path}: missing")
        elif (there.size, there.sha256) != (file.size, file.sha256):
            faults.append(
                f"{file.path}: sha256 {there.sha256[:12]}…, {there.size} bytes; "
                f"pinned {file.sha256[:12]}…, {file.size} bytes"
            )
    known = {file.path for file in pinned.files}
    faults.extend(f"{path}: was never pinned" for path in sorted(found.keys() - known))
    return tuple(faults)


def _verify(
    host: HostPort, facts: HostFacts, digest: str, pinned: Snapshot | None, say: Say
) -> Verified:
    say(f"hashing snapshot {digest[:12]} on {facts.name}")
    read = host.hash_files(digest, lambda event: None)
    found = {
        path: FileDigest(path, entry["size"], entry["sha256"])
        for path, entry in read.items()
        if "sha256" in entry
    }
    used_by = tuple(release.title for release in _releases(facts) if digest in release.snapshots)
    faults = compare(digest, pinned, found)
    faults += tuple(
        f"{path}: {read[path]['fault']}" for path in sorted(read) if "fault" in read[path]
    )
    return Verified(
        facts.name, digest, used_by, len(found), sum(f.size for f in found.values()), faults
    )


def _releases(facts: HostFacts) -> list[Release]:
    return [slot.release for slot in facts.slots if slot.release]
