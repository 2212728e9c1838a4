"""The figures of this host for Prometheus: its slots and standbys, hangs, drift, disk, certificate,
and the counts of its requests, see `tally_figures`.

The watch writes them; the router serves the file at /metrics/host, see host_metrics.lua. Names and labels are those of
Prometheus's text format; a figure that is not known is left out.
"""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import time
from collections.abc import Iterator

import accelerators
import deployment_lock
import disks
import drift
import exposition
import hang
import open_deployment
import router_files
import sleeping
import slot_manifest
import tally_figures
import tampering
import warmth
from directory import Directory, NotSafe, read_text
from wire import Document

FILE = "host.prom"
SECONDS = 10.0
# Comparing files with what was written reads them all.
SECONDS_OF_DRIFT = 60.0
_NAMES = {
    "toolkit_host_written_timestamp_seconds": "When the watch wrote these figures.",
    "toolkit_slot_info": "The release in a slot of this host.",
    "toolkit_slot_weight": "The weight of a slot of this host in its model's traffic.",
    "toolkit_slot_follows": "Whether another host that runs a slot's replica together with this one has its engine.",
    "toolkit_slot_share": "The part of a model's requests that a canary gets.",
    "toolkit_slot_standby": "Whether a slot of this host stands by.",
    "toolkit_slot_asleep": "Whether a slot of this host sleeps or wakes.",
    "toolkit_slot_withdrawn": "Whether the guard of this host has withdrawn a slot.",
    "toolkit_slot_hung_timestamp_seconds": "When a replica in a slot last hung and was restarted.",
    "toolkit_model_targets": "The slots of a model on all hosts, as this host's router knows them.",
    "toolkit_model_standbys": "The slots of a model on all hosts that stand by.",
    "toolkit_model_held_seconds": "How long requests wait at most while a model is exchanged; 0 where they do not.",
    "toolkit_model_asleep": "Whether a model sleeps or wakes, so that nothing of it is up on purpose.",
    "toolkit_model_kept_asleep": "Whether requests want a model that sleeps, and no host begins to wake it.",
    "toolkit_disk_size_bytes": "The disk with snapshots or engines, or of the toolkit, that has the least share free.",
    "toolkit_disk_free_bytes": "What is free of it.",
    "toolkit_disk_free_files": "Files that can still be made on the disk that takes the fewest.",
    "toolkit_certificate_end_timestamp_seconds": "When the certificate of the router ends.",
    "toolkit_driver_absent": "Whether the host has NVIDIA devices and no driver for them is loaded.",
    "toolkit_drift_files": "Files that are not as the toolkit wrote them.",
    "toolkit_deployment_open": "Whether a deployment has begun and not ended.",
    "toolkit_deployment_runs": "Whether a command holds the host's deployment lock.",
}
# Name, labels, value; all are gauges.
_Sample = tuple[str, dict[str, str], float]


class HostMetrics:
    """Writes the figures of the host whose toolkit lies in `root`, every `SECONDS`."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._written = self._compared = float("-inf")
        self._drift = 0
        self._tallies = tally_figures.TallyFigures(root)

    def look(self) -> list[str]:
        """Write the figures, where it is time; nothing of it is worth a word in the log."""
        now = time.monotonic()
        if now - self._written < SECONDS:
            return []
        self._written = now
        if now - self._compared >= SECONDS_OF_DRIFT:
            self._compared = now
            self._drift = drifted(self.root)
        # The carrier reports the faults of its ledger. The other figures are shown without it.
        with contextlib.suppress(OSError, NotSafe):
            self._tallies.look()
        samples = [*figures(self.root), ("toolkit_drift_files", {}, float(self._drift))]
        counted = "".join(f"{line}\n" for line in self._tallies.lines(_models(self.root)))
        with Directory(os.path.join(self.root, "router")) as opened:
            opened.write(FILE, rendered(samples) + counted, durable=False)
        return []


def rendered(samples: list[_Sample]) -> str:
    """Return the text of the samples, those of one name together."""
    lines = []
    for name, words in _NAMES.items():
        mine = [each for each in samples if each[0] == name]
        if mine:
            lines += exposition.heading(name, words, "gauge")
            lines += [exposition.sample(*each) for each in mine]
    return "\n".join(lines) + "\n"


def figures(root: str) -> Iterator[_Sample]:
    """Yield (name, labels, value) of each figure but those that take longer."""
    yield "toolkit_host_written_timestamp_seconds", {}, time.time()
    yield from _slots(root)
    router = os.path.join(root, "router")
    routes = router_files.routes(router)
    yield from _routes(routes)
    yield from _kept(routes, warmth.wished(router) if sleeping.sleepers(routes) else set())
    disk = disks.fullest_of_root(root)
    yield "toolkit_disk_size_bytes", {}, float(disk.total)
    yield "toolkit_disk_free_bytes", {}, float(disk.free)
    if disk.files is not None:
        yield "toolkit_disk_free_files", {}, float(disk.files)
    ends = certificate_end(root)
    if ends is not None:
        yield "toolkit_certificate_end_timestamp_seconds", {}, ends
    absent = accelerators.driver_absent()
    if absent is not None:
        yield "toolkit_driver_absent", {}, float(absent)
    yield "toolkit_deployment_open", {}, float(bool(open_deployment.every(root)))
    yield "toolkit_deployment_runs", {}, float(bool(deployment_lock.read(root)["held"]))


def _slots(root: str) -> Iterator[_Sample]:
    for program, manifest in _manifests(root):
        release = manifest.get("release") or {}
        labels = {"model": str(manifest.get("model", "")), "slot": str(manifest.get("slot", ""))}
        told = {
            "release": str(release.get("number", "")),
            "version": str(release.get("version", "")),
        }
        yield "toolkit_slot_info", {**labels, **told}, 1.0
        if not slot_manifest.leads(root, program):
            yield "toolkit_slot_follows", labels, 1.0
        at = hang.recorded(root, program).get("at")
        if isinstance(at, (int, float)):
            yield "toolkit_slot_hung_timestamp_seconds", labels, float(at)


def _routes(routes: Document) -> Iterator[_Sample]:
    at = routes.get("at", "")
    for route in routes.get("routes", ()):
        model, targets = {"model": route["model"]}, route["targets"]
        yield "toolkit_model_targets", model, float(len(targets))
        standbys = [each for each in targets if each.get("standby") and not each.get("weight")]
        yield "toolkit_model_standbys", model, float(len(standbys))
        # A hold that is armed, because the model is served, hides no outage.
        served = any(each.get("weight") for each in targets)
        yield "toolkit_model_held_seconds", model, 0.0 if served else float(route.get("hold", 0))
        yield "toolkit_model_asleep", model, float(bool(route.get("sleep")))
        for each in targets:
            if each.get("host", "") == at:
                labels = {**model, "slot": each["slot"]}
                yield "toolkit_slot_weight", labels, float(each.get("weight", 0))
                yield "toolkit_slot_share", labels, each.get("share", 0) / 10_000
                yield "toolkit_slot_standby", labels, float(each in standbys)
                yield "toolkit_slot_asleep", labels, float(bool(each.get("asleep")))
                yield "toolkit_slot_withdrawn", labels, float(bool(each.get("withdrawn")))


def _kept(routes: Document, wished: set[str]) -> Iterator[_Sample]:
    for route in routes.get("routes", ()):
        sleep = route.get("sleep")
        rests = sleep and not sleep["due"] and not any(each["weight"] for each in route["targets"])
        kept = rests and sleep["policy"] != "refuse" and route["model"] in wished
        yield "toolkit_model_kept_asleep", {"model": route["model"]}, float(bool(kept))


def _models(root: str) -> list[str]:
    routes = router_files.routes(os.path.join(root, "router"))
    return [str(route["model"]) for route in routes.get("routes", ())]


def _manifests(root: str) -> Iterator[tuple[str, Document]]:
    for program, found in slot_manifest.each(root):
        if isinstance(found.get("release"), dict):
            yield program, found


def drifted(root: str) -> int:
    """Return how many files of the toolkit, of its router and of its slots are not as they were written."""
    try:
        count = len(tampering.changed(root))
    except NotSafe:
        count = 1
    for _, manifest in _manifests(root):
        try:
            count += len(drift.drift(root, manifest, 0))
        except (KeyError, TypeError):
            count += 1  # a manifest that lacks what every manifest has
    return count


def certificate_end(root: str) -> float | None:
    """Return when the router's certificate ends, in seconds since the epoch; None without one that can be read."""
    base = read_text(os.path.join(root, "router", "haproxy.cfg")) or ""
    found = re.search(r" ssl crt (\S+\.pem)", base)
    if found is None:
        return None
    try:
        # The only reader of certificates in the standard library; it takes the first of a file.
        decoded = ssl._ssl._test_decode_cert(found.group(1))  # type: ignore[attr-defined]
        return float(ssl.cert_time_to_seconds(decoded["notAfter"]))
    except (OSError, ValueError, KeyError, AttributeError):
        return None
