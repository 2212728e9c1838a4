"""Diagnose the ops machine and a host; each finding has the next command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from toolkit.domain.hosts.facts import HostFacts, ProcessState
from toolkit.domain.quantity import format_size
from toolkit.planning.change.drift import router_restart
from toolkit.planning.change.fence import unfenced_host, unfenced_replicas
from toolkit.planning.change.preflight import READ_ONLY, SERVES_ON, clock_faults, device_faults
from toolkit.planning.release.engine_choice import describe_host


class Level(StrEnum):
    """`warn` works but deserves a look; `fail` does not work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One subject and its state; `hint` is the next command where the state is not good."""

    level: Level
    subject: str
    words: str
    hint: str = ""


# A pull of any real model needs more room than this.
LOW_DISK = 20 * 10**9
# An engine's packages alone have tens of thousands of files.
LOW_FILES = 100_000
LOW_TMP = 500 * 10**6


def diagnose_host(facts: HostFacts, provision_digest: str, now: float) -> tuple[Finding, ...]:
    """Return the findings about a host, those of level `ok` included; `now` is this machine's clock at the look."""
    return (
        Finding(Level.OK, "host", f"{facts.os}, Python {facts.python}, {facts.init}"),
        *(
            Finding(Level.WARN, "clock", each.words, each.hint)
            for each in clock_faults(facts.observed_at - now)
        ),
        *_devices(facts),
        _disk("disk of the host", facts.disk_free),
        *_files("disk of the host", facts.files_free),
        *_noexec(facts),
        *_read_only(facts),
        *_tmp("temporary files", facts.tmp_free),
        _provisioned(facts, provision_digest),
        _libraries(facts),
        _router(facts),
        *_watch(facts),
        *_log(facts),
        *_door(facts),
        *_fence(facts),
        *_damaged(facts),
        *_replicas(facts),
    )


def _devices(facts: HostFacts) -> tuple[Finding, ...]:
    faults = device_faults(facts)
    if not faults:
        return (Finding(Level.OK, "devices", describe_host(facts)),)
    return tuple(Finding(Level.FAIL, "devices", each.words, each.hint) for each in faults)


def diagnose_ops(
    *,
    ansible: str,
    privileged: bool | None,
    store_free: int,
    store_files: int | None,
    tmp_free: int,
    registry: Sequence[Finding],
    history: str,
    unfinished: Sequence[str],
) -> tuple[Finding, ...]:
    """Return the findings about the ops machine; `ansible` is its version, empty where it is missing.

    `privileged` is None where no host is this machine: then nobody needs to be root here.
    `registry` is what `diagnose_registry` returned.
    `history` is the name of the history that answered, empty where none did; `unfinished` are its open deployments.
    """
    return (
        Finding(Level.OK, "ansible", f"ansible-core {ansible}")
        if ansible
        else Finding(Level.FAIL, "ansible", "ansible-core cannot be imported", "pip install ."),
        _privileges(privileged),
        _disk("disk of the store", store_free),
        *_files("disk of the store", store_files),
        *_tmp("temporary files", tmp_free),
        *registry,
        *([Finding(Level.OK, "history", f"answers: {history}")] if history else []),
        *(
            Finding(Level.WARN, "history", f"unfinished: {each}", "the next deploy or stop ends it")
            for each in unfinished
        ),
    )


def diagnose_registry(error: str, faults: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the findings about the registry; `error` is why it cannot be read, `faults` are those of its check."""
    if faults:
        return tuple(faults)
    if error:
        return (Finding(Level.WARN, "registry", error, "toolkit registry check"),)
    return (Finding(Level.OK, "registry", "valid"),)


def _privileges(privileged: bool | None) -> Finding:
    if privileged is None:
        return Finding(Level.OK, "privileges", "none needed: all hosts are reached over SSH")
    if privileged:
        return Finding(Level.OK, "privileges", "root, or sudo")
    return Finding(
        Level.FAIL,
        "privileges",
        "neither root nor sudo without a password",
        "run as root, add --ask-become-pass, or allow sudo without a password for this user",
    )


def _disk(subject: str, free: int) -> Finding:
    words = f"{format_size(free)} free"
    if free < LOW_DISK:
        return Finding(Level.WARN, subject, words, "toolkit prune")
    return Finding(Level.OK, subject, words)


def _files(subject: str, free: int | None) -> tuple[Finding, ...]:
    """Return a finding where a file system takes few more files; it may have no limit."""
    if free is None or free >= LOW_FILES:
        return ()
    words = f"takes {free:,} more files; an engine has tens of thousands"
    return (Finding(Level.WARN, subject, words, "toolkit prune, or remove files: df -i"),)


def _noexec(facts: HostFacts) -> tuple[Finding, ...]:
    if not facts.noexec:
        return ()
    hint = "mount it there with exec, or name a directory on another disk as toolkit_root"
    return (
        Finding(Level.FAIL, "disk of the host", "is mounted noexec: no engine runs there", hint),
    )


def _read_only(facts: HostFacts) -> tuple[Finding, ...]:
    if not facts.read_only:
        return ()
    return (Finding(Level.FAIL, "disk of the host", SERVES_ON, READ_ONLY),)


def _tmp(subject: str, free: int | None) -> tuple[Finding, ...]:
    if free is None or free >= LOW_TMP:
        return ()
    words = f"{format_size(free)} free; installations need more"
    return (Finding(Level.WARN, subject, words, "make room there: df -h /tmp"),)


def _provisioned(facts: HostFacts, digest: str) -> Finding:
    if not facts.converged:
        hint = "the first toolkit deploy MODEL does it"
        return Finding(Level.WARN, "provisioning", "not provisioned yet", hint)
    if facts.converged != digest:
        hint = "the next toolkit deploy MODEL converges it"
        return Finding(Level.WARN, "provisioning", "by another toolkit version or settings", hint)
    if facts.changed_files:
        words = f"differs from what was written: {'; '.join(facts.changed_files)}"
        return Finding(Level.WARN, "provisioning", words, "toolkit verify")
    return Finding(Level.OK, "provisioning", "as this toolkit wants it")


def _libraries(facts: HostFacts) -> Finding:
    if facts.missing_libraries:
        missing = ", ".join(facts.missing_libraries)
        hint = "the next toolkit deploy MODEL installs them"
        return Finding(Level.WARN, "system libraries", f"missing: {missing}", hint)
    return Finding(Level.OK, "system libraries", "all that engines need")


def _router(facts: HostFacts) -> Finding:
    router = facts.router
    if router.crowd:
        hint = "docs/operations.md, Limits of the router, says who gets in; a firewall keeps others out"
        return Finding(Level.WARN, "router", f"is crowded: {router.crowd}", hint)
    if router.running:
        return Finding(Level.OK, "router", f"HAProxy {router.version} on {router.bind}")
    if not facts.converged:
        return Finding(Level.WARN, "router", "not there yet")
    if router.silent:
        words = (
            "runs and does not answer: nothing is known of its requests, and no change reaches it"
        )
        hint = f"toolkit doctor in a minute; where it stays so, {router_restart(facts)}"
        return Finding(Level.FAIL, "router", words, hint)
    return Finding(Level.FAIL, "router", "does not run", "toolkit deploy MODEL starts it")


def _watch(facts: HostFacts) -> tuple[Finding, ...]:
    if not facts.converged:
        return ()
    if facts.watched:
        return (Finding(Level.OK, "watch", "restarts replicas that hang"),)
    words = "does not run, or does nothing: a replica that hangs keeps its traffic"
    there = "systemctl restart toolkit-watch" if facts.init == "systemd" else "end its process"
    hint = f"toolkit provision; where it stays so, on {facts.name}: {there}"
    return (Finding(Level.WARN, "watch", words, hint),)


def _log(facts: HostFacts) -> tuple[Finding, ...]:
    if not facts.unlogged:
        return ()
    words = f"lacks requests, and so do toolkit requests and slo: {facts.unlogged}"
    hint = f"on {facts.name}: systemctl status systemd-journald"
    return (Finding(Level.WARN, "router's log", words, hint),)


def _door(facts: HostFacts) -> tuple[Finding, ...]:
    router = facts.router
    if not facts.converged:
        return ()
    if not router.locked:
        words = f"OPEN: it asks for no key, whoever reaches {router.bind} can use every model"
        return (Finding(Level.WARN, "keys", words, "toolkit keys add NAME"),)
    if not router.keys:
        words = "locked, and there are no keys: nobody gets in"
        return (Finding(Level.WARN, "keys", words, "toolkit keys add NAME"),)
    words = f"{router.keys} valid" + ("" if router.tls else "; they pass without TLS")
    return (Finding(Level.OK, "keys", words),)


def _fence(facts: HostFacts) -> tuple[Finding, ...]:
    """Return the findings on the fences of replicas: first of those to come, then of those that run."""
    words = unfenced_host(facts)
    host = (
        Finding(
            Level.WARN, "fence", words, "docs/fleet.md, The sandbox, says what a host needs for it"
        )
        if words
        else Finding(Level.OK, "fence", "replicas are fenced entirely")
    )
    hint = "the next upgrade replaces it, or: toolkit stop MODEL, then toolkit deploy MODEL"
    running = unfenced_replicas(facts)
    return (host, *(Finding(Level.WARN, "fence", each, hint) for each in running))


def _damaged(facts: HostFacts) -> tuple[Finding, ...]:
    hint = "toolkit repair makes it anew"
    return tuple(Finding(Level.FAIL, each, "cannot be read", hint) for each in facts.damaged)


def _replicas(facts: HostFacts) -> tuple[Finding, ...]:
    findings = []
    for slot in facts.slots:
        name = f"{slot.model} {slot.slot}"
        if slot.asleep:
            # Its requests end first.
            resting = "sleeps" if slot.rests else "falls asleep"
            words = "wakes" if slot.asleep == "waking" else resting
            findings.append(Finding(Level.OK, name, words))
        elif slot.healthy:
            rest = "runs without a part in the traffic" if slot.idle else "stands by"
            words = "serves" if slot.weight else rest
            findings.append(Finding(Level.OK, name, words))
        elif slot.dozes or slot.rests:
            words = "dozes until a rollback wakes it"
            words = words if slot.dozes else "has ended while it dozed; a rollback starts it anew"
            findings.append(Finding(Level.OK, name, words))
        elif slot.process is ProcessState.RUNNING:
            words = "runs but does not answer: it starts, or hangs"
            findings.append(Finding(Level.WARN, name, words, f"toolkit logs {slot.model} -f"))
        else:
            level = Level.FAIL if slot.weight else Level.WARN
            hint = f"toolkit logs {slot.model} --slot {slot.slot}; then toolkit deploy {slot.model}"
            findings.append(Finding(level, name, f"its process is {slot.process}", hint))
    return tuple(findings)
