"""The bills of three weeks, busy, idle and mixed, from a history as deployments and collection leave it.

Each week is worked out by hand from its files in `weeks/`, all times in UTC from Monday 2026-11-02 on: 168 hours,
604,800 seconds. A bill may differ from the one by hand by 2 %; these agree to the cent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.planning.facts import GB, release
from tests.workflows.cost_week import Week, moment
from toolkit.adapters.history.history import History
from toolkit.config.costs.reading import parse_costs
from toolkit.domain.clients.use import LedgerPlace, UseChunk, UseRow
from toolkit.domain.deployment.release import Attempt, Outcome, Span
from toolkit.planning.economics.account import account
from toolkit.planning.economics.bills import Account, ModelBill
from toolkit.workflows.fleet.recorded import recorded, window


@pytest.fixture
def week(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Week]:
    made = Week(request.param, tmp_path)
    yield made
    made.history.close()


def near(found: Decimal | None, by_hand: str) -> bool:
    """Whether a figure is the one by hand, to half a cent."""
    assert found is not None
    assert abs(found - Decimal(by_hand)) <= abs(Decimal(by_hand)) * Decimal("0.02")
    return abs(found - Decimal(by_hand)) <= Decimal("0.005")


def of(bill: Account, model: str) -> ModelBill:
    (found,) = [each for each in bill.models if each.model == model]
    return found


@pytest.mark.parametrize("week", ["busy"], indirect=True)
def test_a_busy_week(week: Week) -> None:
    """One bought, metered host that serves one model.

    Write-off 43,800 / (5 x 8,760 h) = 1.00 an hour: 168.00. Hosting 219 / 730 x 168 = 50.40. People 3.65 h x 80 / 730 x
    168 = 67.20. The meter counts 14.2 + 14.6 kWh, falls on the 4th, and goes on with 14.8 + 14.4 + 13.9 + 13.6:
    85.5 kWh in 144 h. Beside it flow 150 W x 144 h = 21.6 kWh. For the 24 h in which it fell, 300 W are stated: 7.2.
    With PUE (85.5 + 21.6 + 7.2) x 1.3 = 148.59 kWh, 37.1475. The bill is 168 + 50.40 + 67.20 + 37.1475 = 322.7475.

    Work of ann: 574,970,860 fresh / 10,000 + 382,276,939 cached / 100,000 + 137,744,199 out / 900 = 214,369.0 s; of bob
    145,906.4 s; together 360,275.4 s, a utilisation of 0.595693. The 288 requests a day of the toolkit itself do
    not count.
    Idle power 300 W x 168 h x 1.3 = 65.52 kWh, so 83.07 kWh, 20.7675, are of the work.
    Work costs (322.7475 - 20.7675) x 0.595693 + 20.7675 = 200.6549. Ann pays 322.7475 x 214,369.0 / 360,275.4 =
    192.0394.
    """
    bill = week.bill()
    small = of(bill, "small")
    assert near(bill.total, "322.7475")
    assert near(bill.hosts[0].energy, "37.1475")
    assert bill.hosts[0].energy_source == "metered, 24.0 h of stated watts"
    assert near(small.utilisation, "0.595693")
    assert near(small.working, "200.6549")
    assert near(bill.unused, "122.0926")
    assert [each.key for each in bill.keys] == ["ann", "bob"]
    assert near(bill.keys[0].total, "192.0394")
    assert small.tokens.requests == 273_826
    assert bill.notes == ()


@pytest.mark.parametrize("week", ["idle"], indirect=True)
def test_an_idle_week(week: Week) -> None:
    """Two rented hosts that hardly anybody asks.

    Rent 2 x 168 x 2.40 = 806.40; people for the fleet 2 h x 90 / 730 x 168 = 41.4247. The bill is 847.8247, 2.5232877
    for each hour of a host.

    gpu1: `small` serves alone for 34 h. From Tuesday 10:00 on a second release of the same size shares the host for
    134 h, at first as the new one, then with the former one as standby: 67 h of the host are standby time, 169.0603.
    `small` costs 168 x 2.5232877 = 423.9123.
    gpu2: `large` serves until Wednesday 12:00, 60 h: 151.3973. 108 h nobody holds it: 272.5151.
    Work of `small`: 490,874 / 10,000 + 119,130 / 900 = 181.454 s of 604,800 s; 0.0300 % of (423.9123 - 169.0603) are
    0.0765.
    Of `large`: 36,750 / 4,000 + 12,250 / 40,000 + 14,700 / 300 = 58.494 s of 216,000 s, 0.0410. All else, 847.7072,
    pays for time without work.
    """
    bill = week.bill()
    small, large = of(bill, "small"), of(bill, "large")
    assert near(bill.total, "847.8247")
    assert near(small.total, "423.9123")
    assert near(small.standby, "169.0603")
    assert (small.live_hours, small.standby_hours) == (168, 134)
    assert near(large.total, "151.3973")
    assert near(bill.empty, "272.5151")
    assert near(small.working, "0.0765") and near(large.working, "0.0410")
    assert near(bill.unused, "847.7072")


@pytest.mark.parametrize("week", ["mixed"], indirect=True)
def test_a_mixed_week(week: Week) -> None:
    """A bought host with two models, and a rented one from Thursday on.

    gpu1: write-off 35,040 / (4 x 8,760 h) x 168 = 168.00. The meter counts 37.0 kWh from Monday to Saturday. It has no
    reading after Sunday 00:00: 200 W x 24 h = 4.8 kWh take their place. (37.0 + 4.8) x 1.5 = 62.7 kWh, 12.54.
    gpu2: 96 h x 2.20 = 211.20. The bill is 391.74.

    gpu1 by memory: `small` a quarter, `large` three. Idle power 200 W x 168 h x 1.5 = 50.4 kWh, 10.08; the rest, 2.46,
    is of the work: `small` 154,575.8 s x 1/4, `large` 134,479.7 s x 3/4, so 0.6814 and 1.7786.
    `large` costs (168 + 10.08) x 3/4 + 1.7786 = 135.3386.
    gpu2: nobody until Thursday 05:50, 5 h 50 min, 12.8333; a start of 10 min, 0.3667, then 90 h of `small`, 198.00.
    `small` costs 178.08 / 4 + 0.6814 + 198.3667 = 243.5681, and worked (154,575.8 + 32,363.5) s of 928,800 s: 0.20127.
    """
    bill = week.bill()
    small, large = of(bill, "small"), of(bill, "large")
    assert near(bill.total, "391.74")
    assert bill.hosts[0].energy_source == "metered, 24.0 h of stated watts"
    assert near(bill.hosts[0].energy, "12.54")
    assert near(large.total, "135.3386")
    assert near(small.total, "243.5681")
    assert near(small.standby, "0.3667")
    assert near(bill.empty, "12.8333")
    assert near(small.utilisation, "0.20127")
    assert near(large.utilisation, "0.22235")


@pytest.mark.parametrize("week", ["idle"], indirect=True)
def test_a_bill_has_a_model_that_another_command_collects_meanwhile(
    week: Week, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its use by place and its use by key are two questions to the history."""
    real, collected = week.history.use, False

    def use(*given: Any, **named: Any) -> Any:
        nonlocal collected
        found = real(*given, **named)
        if not collected:
            collected = True
            row = UseRow("2026-11-03", "gpu1", "ann", "new", "v1", 1, 1, 9, 0, 3, 0, 0, base="new")
            week.history.add_use(
                UseChunk("gpu1", LedgerPlace("n" * 16), LedgerPlace("n" * 16, 1, 9), (row,))
            )
        return found

    monkeypatch.setattr(week.history, "use", use)
    assert "new" in {each.model for each in week.bill().models}


def test_the_history_tells_over_how_many_hosts_a_replica_runs(tmp_path: Path) -> None:
    """60,480,000 output tokens / 100 are 604,800 s, the whole week, though gpu2 has recorded nothing."""
    now = moment("2026-11-02T00:00:00Z")
    history = History(tmp_path / "history.db", lambda: now)
    over_two = Span(2, ("10.0.0.1", "10.0.0.2"), 28000)
    history.add_release(replace(release(1, memory=GB), model="large", span=over_two))
    for host in ("gpu1", "gpu2"):
        opened = history.open_deployment(
            Attempt(
                model="large", action="deploy", release=1, previous=None, slot="blue", actor="ann", host=host
            )
        )  # fmt: skip
        for kind in ("start", "shift"):
            history.end_step(opened, history.start_step(opened, kind, "blue"), Outcome.DONE)
        history.end_deployment(opened, Outcome.LIVE)
    row = UseRow(
        "2026-11-02", "gpu1", "ann", "large", "v1", 1, 9, 0, 0, 60_480_000, 0, 0, base="large", ended="whole"
    )  # fmt: skip
    history.add_use(UseChunk("gpu1", LedgerPlace("n" * 16), LedgerPlace("n" * 16, 1, 9), (row,)))
    prices = "".join(f"  {host}: {{from: 2026-01-01, hourly: 1}}\n" for host in ("gpu1", "gpu2"))
    capacity = "capacity: [{model: large, input: 1, output: 100, measured: 2026-11-01}]\n"
    costs = parse_costs(Path("costs.yaml"), f"currency: EUR\nhosts:\n{prices}{capacity}")
    situation, notes = recorded(history, costs, window(date(2026, 11, 2), date(2026, 11, 8), 2**40))
    history.close()
    bill = account(situation)
    assert (bill.total, bill.unused, notes, bill.notes) == (336, 0, (), ())
    assert of(bill, "large").utilisation == 1
