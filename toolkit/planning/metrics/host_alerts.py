"""Alerts on what hosts and this ops machine know of themselves: see `hostside/host_metrics.py` and `ops_figures`."""

from __future__ import annotations

from toolkit.planning.metrics.rule import PAGE, TICKET, Alert, Group
from toolkit.planning.metrics.targets import DCGM, HOST, OPS

# The labels that name a replica's slot in the jobs of hosts and of replicas alike.
_SLOT = "on (host, model, slot)"
# When the watch of a host has written last, by that host's clock, which may be wrong.
_WRITTEN = "toolkit_host_written_timestamp_seconds"
# Files that a disk must still take: an engine has tens of thousands, and records of a day some hundreds.
LOW_FILES, FEW_FILES = 20_000, 1_000
_HERE = "{{ $labels.model }} in {{ $labels.slot }} of {{ $labels.host }}"


def host_alert_groups() -> tuple[Group, ...]:
    """Return the alerts on replicas, standbys, machines and commands."""
    return (
        Group("toolkit-replicas-down", "15s", _replicas()),
        Group("toolkit-standbys", "1m", _standbys()),
        Group("toolkit-machines", "1m", _machines()),
        Group("toolkit-commands", "1m", _commands()),
    )


def _replicas() -> list[Alert]:
    # Each sleep ends a replica, and each wake starts it. The watch of an older toolkit says nothing of them.
    naps = (
        "(max by (host, model, slot) (changes(toolkit_slot_asleep[1h]))"
        " or 0 * group by (host, model, slot) (toolkit:replica:up))"
    )
    return [
        Alert(
            "ToolkitReplicaDown",
            f"toolkit:replica:up == 0 and {_SLOT} toolkit_slot_weight > 0",
            "30s",
            PAGE,
            f"{_HERE} has traffic and does not answer",
        ),
        Alert(
            "ToolkitStandbyDown",
            f"toolkit:replica:up == 0 and {_SLOT} toolkit_slot_standby == 1",
            "5m",
            TICKET,
            f"The standby {_HERE} does not answer",
        ),
        Alert(
            "ToolkitReplicaHangs",
            "toolkit:replica:running > 0 and toolkit:replica:steps:rate5m == 0",
            "1m",
            PAGE,
            f"{_HERE} has requests and has computed nothing for five minutes",
        ),
        Alert(
            "ToolkitReplicaHung",
            f"{_WRITTEN} - on (host) group_right () toolkit_slot_hung_timestamp_seconds < 900",
            "0s",
            TICKET,
            f"{_HERE} hung and was restarted",
        ),
        Alert(
            "ToolkitReplicaRestarts",
            f"changes(toolkit:replica:up[1h]) - {_SLOT} group_left () {naps} >= 6",
            "0s",
            TICKET,
            f"{_HERE} ends again and again",
        ),
        Alert(
            "ToolkitWithdrawn",
            "toolkit_slot_withdrawn == 1",
            "1m",
            TICKET,
            f"The guard of the host has withdrawn {_HERE}",
        ),
    ]


def _standbys() -> list[Alert]:
    serving = f"(toolkit_slot_info and {_SLOT} toolkit_slot_weight > 0)"
    standing = f"(toolkit_slot_info and {_SLOT} toolkit_slot_standby == 1)"
    return [
        Alert(
            "ToolkitNoStandby",
            "max by (model) (toolkit_model_standbys) == 0"
            # Count the hosts that run one replica together once.
            f" and on (model) count by (model) ((toolkit_slot_weight > 0) unless {_SLOT} toolkit_slot_follows) == 1",
            "1h",
            TICKET,
            "{{ $labels.model }} has one replica and no standby: nothing takes over",
        ),
        Alert(
            "ToolkitWakeKept",
            "max by (model) (toolkit_model_kept_asleep) > 0",
            "10m",
            TICKET,
            "Requests want {{ $labels.model }}, which sleeps and does not begin to wake",
        ),
        Alert(
            "ToolkitStandbyOutdated",
            f"count by (model) (count by (model, release) ({standing})) > 1",
            "1h",
            TICKET,
            "The standbys of {{ $labels.model }} are of different releases: a rollback leads to several",
        ),
        Alert(
            "ToolkitReleasesDiffer",
            f"count by (model) (count by (model, release) ({serving})) > 1",
            "12h",
            TICKET,
            "Hosts have served different releases of {{ $labels.model }} for half a day",
        ),
    ]


def _machines() -> list[Alert]:
    free = "toolkit_disk_free_bytes / toolkit_disk_size_bytes"
    left = "toolkit_certificate_end_timestamp_seconds - time()"
    return [
        Alert(
            "ToolkitWatchSilent",
            f'{_WRITTEN} == {_WRITTEN} offset 2m or up{{job="{HOST}"}} == 0',
            "5m",
            TICKET,
            "The watch of {{ $labels.host }} tells nothing: hangs are not noticed, new releases not guarded",
        ),
        Alert(
            "ToolkitDiskLow",
            f"{free} < 0.1 or toolkit_disk_free_files < {LOW_FILES}",
            "15m",
            TICKET,
            "Little room is free for snapshots and engines on a disk of {{ $labels.host }}",
        ),
        Alert(
            "ToolkitDiskFull",
            f"{free} < 0.02 or toolkit_disk_free_files < {FEW_FILES}",
            "5m",
            PAGE,
            "A disk of {{ $labels.host }} is full",
        ),
        Alert(
            "ToolkitCertificateEnds",
            f"{left} < 14 * 86400",
            "1h",
            TICKET,
            "The certificate of {{ $labels.host }} ends in {{ $value | humanizeDuration }}",
        ),
        Alert(
            "ToolkitCertificateEndsNow",
            f"{left} < 2 * 86400",
            "15m",
            PAGE,
            "The certificate of {{ $labels.host }} ends in {{ $value | humanizeDuration }}",
        ),
        Alert(
            "ToolkitDriverAbsent",
            "toolkit_driver_absent == 1",
            "1m",
            PAGE,
            "{{ $labels.host }} has devices, and their driver is not loaded",
        ),
        Alert(
            "ToolkitXid",
            f'DCGM_FI_DEV_XID_ERRORS{{job="{DCGM}"}} > 0',
            "0s",
            TICKET,
            "The driver of {{ $labels.host }} reports Xid {{ $value }} of device {{ $labels.gpu }}",
        ),
        Alert(
            "ToolkitDrift",
            "toolkit_drift_files > 0",
            "10m",
            TICKET,
            "{{ $value }} files on {{ $labels.host }} are not as the toolkit wrote them",
        ),
    ]


def _commands() -> list[Alert]:
    return [
        Alert(
            "ToolkitDeploymentCutShort",
            "toolkit_deployment_open == 1 and on (host) toolkit_deployment_runs == 0",
            "15m",
            TICKET,
            "A deployment on {{ $labels.host }} was cut short",
        ),
        Alert(
            "ToolkitScheduleMissed",
            "time() - toolkit_schedule_due_timestamp_seconds > 600",
            "0s",
            TICKET,
            "Nothing ran in the window {{ $labels.window }} of the schedule",
        ),
        Alert(
            "ToolkitOpsSilent",
            f'up{{job="{OPS}"}} == 0',
            "15m",
            TICKET,
            "The ops machine tells nothing: neither missed windows of the schedule nor missing records of use show",
        ),
        Alert(
            "ToolkitUseNotReconciled",
            "toolkit_use_difference_tokens != 0",
            "30m",
            TICKET,
            "The records of {{ $labels.model }} #{{ $labels.release }} differ from its engine by {{ $value }} tokens",
        ),
    ]
