"""Each alert fires for what it is about, and for nothing else; Prometheus itself evaluates the rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.planning.alert_cases import (
    ALIVE,
    BLUE,
    CASES,
    GREEN,
    NAMES,
    OWN,
    RUNNING,
    STEPS,
    UP,
    WAITING,
)
from tests.planning.rules_lab import (
    answered,
    ever_firing,
    firing,
    first_tokens,
    host,
    replica,
    router,
    timed,
)
from toolkit.domain.registry.objective import Objective, Objectives, Promise
from toolkit.planning.metrics.recording import NOTHING, Promised
from toolkit.planning.metrics.rule import PAGE, TICKET


@pytest.mark.parametrize("case", CASES)
def test_what_happens_and_who_is_told(case: str, tmp_path: Path) -> None:
    series, minute, expected = CASES[case]
    own = OWN if any("_tokens_" in name or "first_token_" in name for name in series) else NOTHING
    adapted = Promised(own.objectives, {"lora.1": "tiny"} if "adapter" in case else {})
    # An alert fires where its condition held at each evaluation of a time. So silence with an evaluation a minute
    # holds with more of them, for a quarter of the work. What fires must do so with evaluations as frequent as
    # Prometheus's own, unless it takes half an hour. What is the same for ten minutes before a look needs few.
    every = "1m" if (30 if expected else 10) <= minute < 240 else ""
    if not expected and minute in (40, 60, 80):
        every = "5m"
    assert firing(tmp_path, series, [minute], NAMES, adapted, every=every)[minute] == expected


def test_a_model_is_measured_by_what_it_promises_itself(tmp_path: Path) -> None:
    strict = Objectives(28, (Objective(Promise.AVAILABILITY, 0.9999),))
    promised = Promised(
        {
            "tiny": Objectives(
                28, (Objective(Promise.AVAILABILITY, 0.99), Objective(Promise.FIRST, 0.95, 10.0))
            ),
            "other": strict,
        }
    )
    # 0.35 % of the requests fail and answers begin after 8 s: by the usual objectives both would be told.
    seeping = answered("0+996.5x2000", "0+3.5x2000")
    assert firing(tmp_path, seeping, [1990], NAMES, promised)[1990] == set()
    late = first_tokens(8, 60, 40)
    assert firing(tmp_path, late, [30], NAMES, promised)[30] == set()
    stricter = Promised({"tiny": strict})
    assert firing(tmp_path, seeping, [1990], NAMES, stricter)[1990] == {
        ("ToolkitBudgetBurnsFast", PAGE),
        ("ToolkitBudgetBurnsSlow", TICKET),
    }


def test_every_alert_has_a_case() -> None:
    told = {name for _, _, expected in CASES.values() for name, _ in expected}
    assert told == set(NAMES)


# What lasts for a minute is seen by evaluations of each minute, which over a day would take most of a minute.
@pytest.mark.parametrize(("hours", "every"), [(6, "1m"), (24, "5m")])
def test_hours_of_healthy_traffic_with_upgrades_page_nobody(
    tmp_path: Path, hours: int, every: str
) -> None:
    day = hours * 60
    # Four upgrades: a reload of the router begins its counters anew, and the replicas change places. One request in
    # 5,000 fails, and one answer in a hundred begins late.
    quarter = day // 4
    good = " ".join([f"0+300x{quarter - 1}"] * 4)
    bad = " ".join([f"0+0.06x{quarter - 1}"] * 4)
    series = {
        **answered(good, bad),
        **first_tokens(0.5, 300, day),
        **timed("first_token", 2, f"0+297x{day}", f"0+300x{day}"),
        **timed("left_waiting", 2, f"0+1x{day}", f"0+1.5x{day}"),
        **timed("between_tokens", 0.05, f"0+299x{day}", f"0+300x{day}"),
        router("backend_active_servers", UP): " ".join([f"1x{quarter - 3} 2x1"] * 4),
        'up{job="toolkit-router",host="alpha",instance="alpha"}': f"1x{day}",
        # In turn, a slot is emptied, gets a new release and its traffic, and the other one stands by.
        ALIVE: " ".join([f"1x{quarter - 6} 0x2 1x2", f"1x{quarter - 13} 0x2 1x9"] * 2),
        host("slot_weight", BLUE): " ".join(
            [f"100x{quarter - 8} 0x7", f"0x{quarter - 8} 100x7"] * 2
        ),
        host("slot_weight", GREEN): " ".join(
            [f"0x{quarter - 8} 100x7", f"100x{quarter - 8} 0x7"] * 2
        ),
        host("slot_standby", BLUE): " ".join([f"0x{quarter - 1}", f"1x{quarter - 14} 0x12"] * 2),
        host("model_standbys", 'model="tiny"'): " ".join([f"1x{quarter - 9} 0x8"] * 4),
        host("model_held_seconds", 'model="tiny"'): f"0x{day}",
        host("host_written_timestamp_seconds"): f"0+60x{day}",
        host("drift_files"): f"0x{day}",
        host("disk_size_bytes"): f"100x{day}",
        host("disk_free_bytes"): f"60-0.01x{day}",
        host("certificate_end_timestamp_seconds"): f"7776000x{day}",
        host("deployment_open"): " ".join([f"0x{quarter - 11} 1x10"] * 4),
        host("deployment_runs"): " ".join([f"0x{quarter - 11} 1x10"] * 4),
        RUNNING: "2 1 0 3 " * (day // 4),
        STEPS: f"0+600x{day}",
        WAITING: "0 1 0 3 0 0 2 0 " * (day // 8),
        replica("vllm:kv_cache_usage_perc"): "0.4 0.7 0.9 0.6 " * (day // 4),
        replica("vllm:num_preemptions_total"): f"0+0.1x{day}",
    }
    assert ever_firing(tmp_path, series, day, OWN, every=every) == set()
