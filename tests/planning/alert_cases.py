"""What happens on a fleet, and the alerts that fire then."""

from __future__ import annotations

from tests.planning.rules_lab import (
    Series,
    answered,
    first_tokens,
    host,
    replica,
    router,
    timed,
)
from toolkit.domain.registry.objective import Objective, Objectives, Promise
from toolkit.planning.metrics.alerts import alert_groups
from toolkit.planning.metrics.recording import Promised
from toolkit.planning.metrics.rule import PAGE, TICKET

ALERTS = [rule for group in alert_groups() for rule in group.rules]
NAMES = sorted({rule.name for rule in ALERTS})
UP = 'proxy="model.tiny"'
BLUE = 'model="tiny",slot="blue"'
GREEN = 'model="tiny",slot="green"'
ALIVE = replica("up")
RUNNING, STEPS = (
    replica("vllm:num_requests_running"),
    replica("vllm:iteration_tokens_total_count"),
)
WAITING = replica("vllm:num_requests_waiting")
READ = host("log_read_seconds_total")
# What the model of the cases promises: a time that the usual objectives have too, and one more.
OWN = Promised(
    {
        "tiny": Objectives(
            28, (Objective(Promise.FIRST, 0.95, 2.0), Objective(Promise.BETWEEN, 0.99, 0.05))
        )
    },
)

# What happens, as series with a value for each minute; the minute of the look; the alerts that fire then.
CASES: dict[str, tuple[Series, float, set[tuple[str, str]]]] = {
    "the router of a host is gone": (
        {'up{job="toolkit-router",host="alpha",instance="alpha"}': "1x5 0x10"},
        7, {("ToolkitRouterDown", PAGE)},
    ),
    "no replica of a model is up": (
        {router("backend_active_servers", UP): "1x5 0x10"}, 7, {("ToolkitModelDown", PAGE)},
    ),
    "another host's router still knows one": (
        {
            router("backend_active_servers", UP): "0x10",
            router("backend_active_servers", UP).replace("alpha", "beta"): "1x10",
        },
        7, set(),
    ),
    "one answer in twenty begins late": (
        {
            **first_tokens(1, 95, 40),
            **{name.replace("blue", "green"): f"0+5x{40}" if 'le="4"' in name or "+Inf" in name or "_count" in name
               else "0x40" for name in first_tokens(4, 5, 40)},
            # One in nineteen: the next bucket begins above the objective.
            **{name.replace("blue", "red"): f"0+1x{40}" if 'le="4"' in name or "+Inf" in name or "_count" in name
               else "0x40" for name in first_tokens(4, 1, 40)},
        },
        30, {("ToolkitFirstTokenSlow", TICKET)},
    ),
    "all answers begin late": (
        first_tokens(8, 60, 40), 30,
        {("ToolkitFirstTokenSlow", TICKET), ("ToolkitFirstTokenVerySlow", PAGE)},
    ),
    "all answers begin in time": (first_tokens(0.5, 60, 40), 30, set()),
    "a single answer begins late": (first_tokens(8, 1, 40), 30, set()),
    "a queue grows": ({WAITING: "0x10 1+2x40"}, 40, {("ToolkitQueueGrows", TICKET)}),
    "a queue stays": ({WAITING: "3x60"}, 40, set()),
    "a queue empties again and again": ({WAITING: "0 40 0 20 0 40 0 50 0 60 0 70 0 80 0 90 0 99 0 99 0"}, 20, set()),
    "a cache is full": (
        {replica("vllm:kv_cache_usage_perc"): "0.5x10 0.99x40"}, 40, {("ToolkitCacheFull", TICKET)},
    ),
    "a cache is well used": ({replica("vllm:kv_cache_usage_perc"): "0.9x50"}, 40, set()),
    "requests lose their place in the cache": (
        {replica("vllm:num_preemptions_total"): "0x10 0+30x40"}, 40, {("ToolkitPreemptions", TICKET)},
    ),
    "a request loses its place": ({replica("vllm:num_preemptions_total"): "0x10 1x40"}, 40, set()),
    # A fifth of all requests for twenty minutes is a part of the day, too.
    "errors begin": (
        answered("0+80x100", "0x40 0+20x60"), 60,
        {("ToolkitBudgetBurnsFast", PAGE), ("ToolkitBudgetBurnsSlow", TICKET)},
    ),
    "errors have ended": (answered("0+97x500", "0x10 0+3x30 90x460"), 480, set()),
    "errors are few": (answered("0+1000x100", "0+0.5x100"), 95, set()),
    "one of ten requests fails": (answered("0+0.1x100", "0x50 1x50"), 55, set()),
    # 0.35 % over a day: 3.5 times the budget.
    "errors seep": (
        answered("0+996.5x2000", "0+3.5x2000"), 1990, {("ToolkitBudgetBurnsSlow", TICKET)},
    ),
    "no replica takes the requests": (
        answered("0x100", "0x40 0+20x60", "no_replica"), 60,
        {("ToolkitBudgetBurnsFast", PAGE), ("ToolkitBudgetBurnsSlow", TICKET)},
    ),
    "requests for an adapter fail": (
        {**answered("0+80x100", "0x100"), **answered("0x100", "0x40 0+20x60", "no_replica", "lora.1")}, 60,
        {("ToolkitBudgetBurnsFast", PAGE), ("ToolkitBudgetBurnsSlow", TICKET)},
    ),
    # A host tells a count from its first requests on, here thousands at once.
    "the first errors come at once": (
        {**answered("0+600x90", "_x70 3000x20", "no_replica"), READ: "0+60x90"}, 74,
        {("ToolkitBudgetBurnsFast", PAGE), ("ToolkitBudgetBurnsSlow", TICKET)},
    ),
    "the first errors of a host come soon after it": (
        {**answered("_x70 0+600x20", "_x72 3000x20", "no_replica"), READ: "_x70 0+60x20"}, 76,
        {("ToolkitBudgetBurnsFast", PAGE), ("ToolkitBudgetBurnsSlow", TICKET)},
    ),
    "a host with former errors is read for the first time": (
        {**answered("_x60 9000+600x60", "_x60 3000x60", "no_replica"), READ: "_x60 900000+60x60"}, 65, set(),
    ),
    "the first answers of a release are late": (
        {**timed("first_token", 2, "_x70 0x20", "_x70 3000x20"), READ: "0+60x90"}, 74,
        {("ToolkitLatencyBudgetBurnsFast", PAGE), ("ToolkitLatencyBudgetBurnsSlow", TICKET)},
    ),
    "a sleeping model refuses": (answered("0+80x100", "0x40 0+20x60", "model_asleep"), 60, set()),
    "first tokens are late": (
        timed("first_token", 2, "0+80x30 2400x60", "0+80x90"), 60,
        {("ToolkitLatencyBudgetBurnsFast", PAGE), ("ToolkitLatencyBudgetBurnsSlow", TICKET)},
    ),
    "clients leave without a token": (
        {**timed("first_token", 2, "0+80x30 2400x60", "0+80x30 2400x60"),
         **timed("left_waiting", 2, "0+1x90", "0+1x30 31+80x60")}, 60,
        {("ToolkitLatencyBudgetBurnsFast", PAGE), ("ToolkitLatencyBudgetBurnsSlow", TICKET)},
    ),
    "tokens come slowly": (
        timed("between_tokens", 0.05, "0+65x90", "0+80x90"), 60,
        {("ToolkitLatencyBudgetBurnsFast", PAGE), ("ToolkitLatencyBudgetBurnsSlow", TICKET)},
    ),
    # 3.5 % of them over hours: 3.5 times the budget.
    "tokens come a little too slowly": (
        timed("between_tokens", 0.05, "0+965x200", "0+1000x200"), 150, {("ToolkitLatencyBudgetBurnsSlow", TICKET)},
    ),
    "some answers are late": (
        {**timed("first_token", 2, "0+96x90", "0+100x90"), **timed("between_tokens", 0.05, "0+995x90", "0+1000x90")},
        60, set(),
    ),
    "few answers are late": (timed("first_token", 2, "0x90", "0x50 9x40"), 60, set()),
    "a model is exchanged": (
        {router("backend_active_servers", UP): "1x5 0x10", host("model_held_seconds", 'model="tiny"'): "60x20"},
        7, set(),
    ),
    "a model that sleeps is wanted and does not begin to wake": (
        {host("model_kept_asleep", 'model="tiny"'): "0x5 1x30", host("model_asleep", 'model="tiny"'): "1x35"},
        20, {("ToolkitWakeKept", TICKET)},
    ),
    "a model that sleeps waits for its turn": (
        {host("model_kept_asleep", 'model="tiny"'): "0 1 1 0 0 0 1 1 0 0 0 1 0 0 0 1 0x30"}, 20, set(),
    ),
    # Its watch has ended while the model slept, and what it wrote stays; the model has woken on the others.
    "no replica is up, and a host that tells nothing new says that the model sleeps": (
        {
            router("backend_active_servers", UP): "1x15 0x30",
            host("model_asleep", 'model="tiny"'): "1x50", host("host_written_timestamp_seconds"): "0+60x2 120x50",
            host("model_asleep", 'model="tiny"', "beta"): "0x50",
            host("host_written_timestamp_seconds", "", "beta"): "0+60x50",
        },
        20, {("ToolkitModelDown", PAGE), ("ToolkitWatchSilent", TICKET)},
    ),
    "a model sleeps": (
        {router("backend_active_servers", UP): "1x5 0x40", host("model_asleep", 'model="tiny"'): "0x3 1x40"},
        30, set(),
    ),
    "a replica with traffic ends": (
        {ALIVE: "1x5 0x10", host("slot_weight", BLUE): "100x20"}, 7, {("ToolkitReplicaDown", PAGE)},
    ),
    "a replica is stopped after its traffic went": (
        {ALIVE: "1x5 0x10", host("slot_weight", BLUE): "0x20"}, 15, set(),
    ),
    "a standby ends": (
        {ALIVE: "1x5 0x20", host("slot_weight", BLUE): "0x30", host("slot_standby", BLUE): "1x30"},
        20, {("ToolkitStandbyDown", TICKET)},
    ),
    "a replica computes nothing": (
        {RUNNING: "2x20", STEPS: "0+60x8 480x20"}, 16, {("ToolkitReplicaHangs", PAGE)},
    ),
    "a replica is idle": ({RUNNING: "0x20", STEPS: "0+60x8 480x20"}, 16, set()),
    "a replica hung": (
        {host("slot_hung_timestamp_seconds", BLUE): "300x20", host("host_written_timestamp_seconds"): "0+60x20"},
        10, {("ToolkitReplicaHung", TICKET)},
    ),
    "a replica hung long ago": (
        {host("slot_hung_timestamp_seconds", BLUE): "300x40", host("host_written_timestamp_seconds"): "0+60x40"},
        30, set(),
    ),
    "a replica hung a day ahead, by its host's clock": (
        {host("slot_hung_timestamp_seconds", BLUE): "86700x20", host("host_written_timestamp_seconds"): "86400+60x20"},
        10, {("ToolkitReplicaHung", TICKET)},
    ),
    "a replica hung long ago, by a clock that is a day ahead": (
        {host("slot_hung_timestamp_seconds", BLUE): "86700x40", host("host_written_timestamp_seconds"): "86400+60x40"},
        30, set(),
    ),
    "a replica ends again and again": (
        {ALIVE: "1 0 1 0 1 0 1 1x20", host("slot_weight", BLUE): "100x30"}, 20, {("ToolkitReplicaRestarts", TICKET)},
    ),
    "a replica sleeps and wakes again and again": (
        {
            ALIVE: "1 0 1 0 1 0 1 1x20", host("slot_weight", BLUE): "100 0 100 0 100 0 100 100x20",
            host("slot_asleep", BLUE): "0 1 0 1 0 1 0 0x20",
        },
        20, set(),
    ),
    "a replica that has slept ends again and again": (
        {
            ALIVE: "1 0 0 1 0 1 0 1 0 1 1x20", host("slot_weight", BLUE): "100x30",
            host("slot_asleep", BLUE): "0 1 1 0x30",
        },
        20, {("ToolkitReplicaRestarts", TICKET)},
    ),
    "a replica with traffic ends on a host of an older toolkit": (
        {ALIVE: "1 0 1 0 1 0 1 1x20", host("slot_weight", BLUE): "100x30", host("slot_weight", GREEN): "0x30"},
        20, {("ToolkitReplicaRestarts", TICKET)},
    ),
    "a release was withdrawn": ({host("slot_withdrawn", BLUE): "0x5 1x20"}, 10, {("ToolkitWithdrawn", TICKET)}),
    "nothing stands by": (
        {host("model_standbys", 'model="tiny"'): "0x90", host("slot_weight", BLUE): "100x90"},
        80, {("ToolkitNoStandby", TICKET)},
    ),
    "nothing stands by for a replica over two hosts": (
        {
            host("model_standbys", 'model="tiny"'): "0x90", host("slot_weight", BLUE): "100x90",
            host("slot_weight", BLUE, "beta"): "100x90", host("slot_follows", BLUE, "beta"): "1x90",
        },
        80, {("ToolkitNoStandby", TICKET)},
    ),
    "another host serves as well": (
        {
            host("model_standbys", 'model="tiny"'): "0x90", host("slot_weight", BLUE): "100x90",
            host("slot_weight", BLUE, "beta"): "100x90",
        },
        80, set(),
    ),
    "standbys are of different releases": (
        {
            host("slot_standby", GREEN, name): "1x90" for name in ("alpha", "beta")
        } | {
            host("slot_info", f'{GREEN},release="{number}",version="v"', name): "1x90"
            for name, number in (("alpha", 2), ("beta", 1))
        },
        80, {("ToolkitStandbyOutdated", TICKET)},
    ),
    "standbys are of one release": (
        {host("slot_standby", GREEN, name): "1x90" for name in ("alpha", "beta")}
        | {host("slot_info", f'{GREEN},release="2",version="v"', name): "1x90" for name in ("alpha", "beta")},
        80, set(),
    ),
    "hosts serve different releases": (
        {host("slot_weight", BLUE, name): "100x900" for name in ("alpha", "beta")}
        | {
            host("slot_info", f'{BLUE},release="{number}",version="v"', name): "1x900"
            for name, number in (("alpha", 2), ("beta", 1))
        },
        800, {("ToolkitReleasesDiffer", TICKET)},
    ),
    "a watch has ended": ({host("host_written_timestamp_seconds"): "0x30"}, 20, {("ToolkitWatchSilent", TICKET)}),
    "a watch writes": ({host("host_written_timestamp_seconds"): "0+60x30"}, 20, set()),
    "a watch writes by a clock that is an hour behind": (
        {host("host_written_timestamp_seconds"): "-3600+60x30"}, 20, set(),
    ),
    "a watch has ended whose clock is an hour ahead": (
        {host("host_written_timestamp_seconds"): "3600x30"}, 20, {("ToolkitWatchSilent", TICKET)},
    ),
    "a disk fills": (
        {host("disk_free_bytes"): "5x60", host("disk_size_bytes"): "100x60"}, 40, {("ToolkitDiskLow", TICKET)},
    ),
    "a disk is full": (
        {host("disk_free_bytes"): "1x60", host("disk_size_bytes"): "100x60"}, 40,
        {("ToolkitDiskLow", TICKET), ("ToolkitDiskFull", PAGE)},
    ),
    "a disk takes few files": (
        {host("disk_free_bytes"): "50x60", host("disk_size_bytes"): "100x60", host("disk_free_files"): "9000x60"}, 40,
        {("ToolkitDiskLow", TICKET)},
    ),
    "a disk takes no files": (
        {host("disk_free_bytes"): "50x60", host("disk_size_bytes"): "100x60", host("disk_free_files"): "9x60"}, 40,
        {("ToolkitDiskLow", TICKET), ("ToolkitDiskFull", PAGE)},
    ),
    "a certificate ends in ten days": (
        {host("certificate_end_timestamp_seconds"): "864000x90"}, 80, {("ToolkitCertificateEnds", TICKET)},
    ),
    "a certificate ends tomorrow": (
        {host("certificate_end_timestamp_seconds"): "86400x90"}, 80,
        {("ToolkitCertificateEnds", TICKET), ("ToolkitCertificateEndsNow", PAGE)},
    ),
    "a certificate lasts": ({host("certificate_end_timestamp_seconds"): "8640000x90"}, 80, set()),
    "a driver is gone": ({host("driver_absent"): "0x5 1x20"}, 10, {("ToolkitDriverAbsent", PAGE)}),
    "a driver reports an error": (
        {'DCGM_FI_DEV_XID_ERRORS{job="toolkit-dcgm",host="alpha",instance="alpha",gpu="0"}': "0x5 79x20"},
        10, {("ToolkitXid", TICKET)},
    ),
    "a file was changed": ({host("drift_files"): "0x5 1x20"}, 20, {("ToolkitDrift", TICKET)}),
    "a deployment was cut short": (
        {host("deployment_open"): "1x30", host("deployment_runs"): "1x5 0x30"}, 25,
        {("ToolkitDeploymentCutShort", TICKET)},
    ),
    "a deployment runs": ({host("deployment_open"): "1x30", host("deployment_runs"): "1x30"}, 25, set()),
    "a window went by": (
        {'toolkit_schedule_due_timestamp_seconds{window="nightly"}': "600x40"}, 25, {("ToolkitScheduleMissed", TICKET)},
    ),
    "the ops machine is off": (
        {'up{job="toolkit-ops",host="ops",instance="ops"}': "1x5 0x40"}, 40, {("ToolkitOpsSilent", TICKET)},
    ),
    "a window is yet to come": ({'toolkit_schedule_due_timestamp_seconds{window="nightly"}': "6000x40"}, 25, set()),
    "records of use are missing": (
        {'toolkit_use_difference_tokens{model="tiny",release="3"}': "0x5 7x60"}, 50,
        {("ToolkitUseNotReconciled", TICKET)},
    ),
}  # fmt: skip
