"""Whether a version fits, as people read it: yes or no and why, each host, what it takes, earlier starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from toolkit.cli.terminal.columns import columns, folded
from toolkit.cli.views.changes import change_lines
from toolkit.cli.views.sleep_rule import sleep_lines
from toolkit.domain.deployment.schedule import SleepRule
from toolkit.domain.engines.fit import FitRecord, Prediction
from toolkit.domain.quantity import format_size, part_of, stated_size
from toolkit.domain.said_once import listed, said_once
from toolkit.planning.fit.host_fit import HostFit
from toolkit.workflows.fleet.fit_plan import FleetFit

_WIDTH = 80
# The number of earlier starts in the output.
_STARTS = 5
# Measured figures this near to the prediction are as predicted: the allocators of engines round.
_AS_PREDICTED = 0.05


def fit_lines(found: FleetFit, rule: SleepRule) -> tuple[str, ...]:
    """Return the lines of `toolkit plan`; the model falls asleep by `rule`."""
    return tuple(_lines(found, rule))


def _lines(found: FleetFit, rule: SleepRule) -> Iterator[str]:
    yield _verdict(found)
    yield from host_lines(found.hosts, found.unreachable)
    yield from _upgrade(found)
    for name in found.behind:
        yield f"the router of {name} has missed a change; toolkit repair tells it, as an upgrade does"
    yield from sleep_lines(found.version.model, rule)
    if found.changes:
        yield "changes:"
        yield from change_lines(found.changes)
    yield ""
    yield from _needs(found)
    if found.records:
        yield ""
        yield "earlier starts, measured and predicted"
        yield from map(start_line, found.records[:_STARTS])


def _verdict(found: FleetFit) -> str:
    fit = [host.host for host in found.hosts if host.fits]
    version, together = found.version, found.version.resources.hosts
    if not found.hosts:
        return f"unknown: no host was reached, so nobody knows whether {version.title} fits"
    if together > 1:
        words = f"one replica takes {together} hosts, and it fits on {len(fit)}"
        return f"{'yes' if found.fits else 'no'}: {version.title}: {words}"
    if not fit:
        alone = found.hosts[0].host if len(found.hosts) == 1 else ""
        where = (
            f"does not fit on {alone}" if alone else f"fits on none of {_counted(len(found.hosts))}"
        )
        return f"no: {version.title} {where}"
    others = len(found.hosts) - len(fit)
    rest = f", not on {_counted(others)}" if others else ""
    return f"yes: {version.title} fits on {', '.join(fit)}{rest}"


def _counted(hosts: int) -> str:
    return "1 host" if hosts == 1 else f"{hosts} hosts"


def host_lines(hosts: Sequence[HostFit], unreachable: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines about each host; hosts with the same lines share them.

    `unreachable` is host -> reason.
    """
    words = {host.host: "\n".join(_host(host)) for host in hosts}
    words |= {name: f"not reached: {why}" for name, why in unreachable.items()}
    for each in said_once(words, lambda _: "any of them"):
        first, *rest = each.words.splitlines()
        *above, names = folded(listed(each.hosts), _WIDTH - 2)
        yield from (f"  {line}" for line in above)
        beside = f"  {names}  {first}"
        if above and columns(beside) > _WIDTH:
            yield f"  {names}"
            beside = f"    {first}"
        yield beside
        yield from rest


def _host(host: HostFit) -> Iterator[str]:
    where = f" on {host.accelerator} {','.join(map(str, host.devices))}".rstrip()
    place = where if host.accelerator else ""
    yield f"{'yes' if host.fits else 'no'}{place}: {host.why or host.has}"
    said = host.prediction
    if said and not said.keeps_cache:
        longest = f"a request has up to {said.longest:,} tokens"
        yield f"      weights {format_size(said.weights)}, no cache; {longest}"
    elif said and not said.note:
        cache = format_size(max(said.cache, 0))
        yield f"      weights {format_size(said.weights)}, cache {cache} for {said.tokens:,} tokens"
        many, longest = f"{said.concurrency:,.1f}", f"{said.longest:,}"
        yield f"      {many} requests of {said.context:,} tokens at once; a single one up to {longest}"
    elif said:
        yield f"      weights {format_size(said.weights)}; {said.note}"
    if host.strategy:
        yield f"      an upgrade: {host.strategy}, with {_downtime(host)}"
    if host.several:
        several = host.several
        yield (
            f"      {several.hosts} such hosts hold it together (tensor parallel {several.tensor} x pipeline "
            f"parallel {several.pipeline})"
        )
        yield f"      write `hosts: {several.hosts}` under `resources`"


def _downtime(host: HostFit) -> str:
    return "no downtime" if host.downtime in ("", "0 s") else f"a downtime of {host.downtime}"


def _upgrade(found: FleetFit) -> Iterator[str]:
    if found.upgrade.words:
        yield f"upgrade: {', '.join(filter(None, (found.upgrade.strategy, found.upgrade.words)))}"


def _needs(found: FleetFit) -> Iterator[str]:
    need, version = found.need, found.version
    yield f"{version.title} is {version.source.key}@{version.revision[:12]}"
    yield f"  weights   {format_size(found.weights)} in its files"
    if need.adapters:
        reserved = version.reserved
        room = f", {reserved.max_active} of rank {reserved.max_rank}" if reserved else ""
        yield f"  adapters  {format_size(need.adapters)} reserved{room}"
    if version.permission.allowed:
        yield f"  permits   {', '.join(version.permission.allowed)}: {version.permission.reason}"
    if need.note:
        yield f"  unknown   {need.note}"
        return
    if need.keeps_cache:
        state = f", {format_size(need.state)} a request" if need.state else ""
        token = f"{format_size(need.token)} a token{state}"
        yield f"  cache     {token}; {need.context:,} tokens a request"
    else:
        yield f"  requests  {need.context:,} tokens each; an encoder keeps no cache"
    yield f"  reserve   {_reserve(need)}"
    yield f"  needs     {_least(found)}"


def _reserve(need: Prediction) -> str:
    outside = f", {format_size(need.outside)} beside the engine's share" if need.outside else ""
    return f"{format_size(need.reserve)} beside them{outside}, estimated"


def _least(found: FleetFit) -> str:
    resources = found.version.resources
    each = "" if resources.devices == 1 else f" on each of {resources.devices} devices"
    asked = stated_size(part_of(resources.memory, resources.devices))
    least = format_size(found.need.least + found.need.outside)
    return f"at least {least}{each}; its `resources.memory` gives {asked}"


def start_line(record: FitRecord) -> str:
    """Return the memory that an earlier start measured, beside its prediction."""
    said, actual = record.predicted, record.actual
    figures = []
    if actual.tokens and said.keeps_cache:
        beside = _beside(f"{said.tokens:,}", f"{actual.tokens:,}", record.token_error)
        figures.append(f"room for {actual.tokens:,} tokens ({beside})")
    if actual.weights:
        sizes = format_size(said.weights), format_size(actual.weights)
        figures.append(f"weights {sizes[1]} ({_beside(*sizes, record.weight_error)})")
    words = ", ".join(figures) or "not measured"
    return f"  {record.model} #{record.release} on {record.host}: {words}"


def _beside(predicted: str, actual: str, error: float | None) -> str:
    """Return the prediction in words; a difference is named where it is more than rounding."""
    if predicted == actual:
        return "as predicted"
    if error is None or abs(error) <= _AS_PREDICTED:
        return f"{predicted} predicted"
    # The error is of the prediction: a negative one means that there is more than it said.
    more = "less" if error > 0 else "more"
    return f"{predicted} predicted, {abs(error):.0%} {more}"
