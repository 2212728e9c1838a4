"""The energy of a host while one price holds, from its meter or from stated watts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from toolkit.domain.costs.economics import HOUR, STEP, Costs, Metered, day_of
from toolkit.errors import InputError
from toolkit.planning.economics.shares import ZERO, HostTime

_KILO = Decimal(1000)
# No host takes this multiple of its stated busy watts: its meter counts in another unit, or something else.
MOST = 4


@dataclass(frozen=True, slots=True)
class Energy:
    """Kilowatt hours of a host, PUE included: `idle` flows whatever it does, `busy` comes on top with its work.

    `source` says where the figures come from, and stated watts fill `gap` seconds without readings of a meter. In
    `refused` seconds of them there were readings of more than such a host draws.
    `per_second` are the kilowatt hours of one more second of work of the whole host; None where nothing tells them.
    """

    idle: Decimal
    busy: Decimal
    per_second: Decimal | None
    source: str
    gap: int = 0
    refused: int = 0

    @property
    def total(self) -> Decimal:
        """All kilowatt hours."""
        return self.idle + self.busy


def energy_of(time: HostTime, costs: Costs, metered: Iterable[Metered], work: Decimal) -> Energy:
    """Return a host's energy at one price; `work` are the seconds that the whole host worked at full load.

    A meter wins over stated watts. Where it has no readings, or more than the host draws, the stated idle watts fill
    the gap; they are those of the whole host, watts beside the meter included. Raises InputError where a metered host
    has a gap and no stated watts.
    """
    price, pue = time.price, costs.pue
    if not price.pays_energy:
        return Energy(ZERO, ZERO, ZERO, "in the rent")
    idle_watts, busy_watts = price.watts_idle, price.watts_busy
    if idle_watts is None or busy_watts is None:
        extra, idle = None, ZERO
    else:
        extra = kwh(busy_watts - idle_watts, Decimal(1)) * pue
        idle = kwh(idle_watts, Decimal(time.seconds)) * pue
    if not price.metered:
        assert extra is not None
        return Energy(idle, extra * work, extra, "stated watts")
    counted, covered, refused = _counted(time, metered)
    total = (counted + kwh(price.watts_rest, Decimal(covered))) * pue
    gap = time.seconds - covered
    if gap > 0:
        if idle_watts is None:
            raise InputError(
                f"{time.host} has no readings of its meter for {gap / 3600:.1f} h between {day_of(time.span.begins)} "
                f"and {day_of(time.span.ends)}",
                hint="give readings that cover the time, or write `watts: {idle: 200, busy: 900}` for the gaps",
            )
        total += kwh(idle_watts, Decimal(gap)) * pue
    if extra is None:
        return Energy(total, ZERO, None, "metered")
    # Without work, all of it belongs to the time.
    idle = min(idle, total) if work else total
    return Energy(idle, total - idle, extra, "metered", gap, refused)


def sources(found: Iterable[Energy]) -> str:
    """Return where the energy of a host's prices comes from, in their order."""
    gaps: dict[str, int] = {}
    for each in found:
        gaps[each.source] = gaps.get(each.source, 0) + each.gap
    return ", then ".join(
        f"{source}, {gap / 3600:.1f} h of stated watts" if gap else source
        for source, gap in gaps.items()
    )


def uncounted(hosts: Iterable[str], costs: Costs) -> Iterable[str]:
    """Yield a remark for each of the `hosts` with readings that count for nothing."""
    for host in hosts:
        if host not in costs.hosts:
            yield f"{host} has readings, and no price in the file of costs: they count for nothing"
        elif not any(price.metered for price in costs.hosts[host]):
            yield f"{host} has readings, and is not `metered` in the file of costs: they count for nothing"


def kwh(watts: Decimal, seconds: Decimal) -> Decimal:
    """Return the kilowatt hours of a power over a time."""
    return watts * seconds / _KILO / HOUR


def _counted(time: HostTime, metered: Iterable[Metered]) -> tuple[Decimal, int, int]:
    """Return the metered kilowatt hours of a host's time, its seconds with readings, and those with refused ones.

    Of a stretch between two readings that lies partly in the time, the same part of its energy counts.
    """
    total, covered, refused = ZERO, 0, 0
    busy = time.price.watts_busy
    for each in metered:
        inside = each.span.within(time.span).seconds
        if each.host != time.host or not inside:
            continue
        if busy and each.kwh > kwh(MOST * busy, Decimal(each.span.seconds)) + STEP:
            refused += inside
            continue
        total += each.kwh * inside / each.span.seconds
        covered += inside
    return total, covered, refused
