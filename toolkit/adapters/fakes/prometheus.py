"""A Prometheus in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from toolkit.domain.hosts.metrics import Selection, Series
from toolkit.errors import ToolkitError

Samples = Sequence[tuple[float, float]]


@dataclass
class FakePrometheus:
    """Has series: metric, labels, and samples of (seconds since the epoch, value). Raises `error`, where it is set."""

    address: str = "http://prometheus.invalid:9090"
    series: list[tuple[str, Mapping[str, str], Samples]] = field(default_factory=list)
    error: ToolkitError | None = None

    def by_hour(self, wanted: Selection, first: int, last: int) -> tuple[Series, ...]:
        """See `PrometheusPort.by_hour`."""
        if self.error:
            raise self.error
        found = []
        for metric, labels, samples in self.series:
            if metric == wanted.metric and all(
                labels.get(name, "") in values for name, values in wanted.labels.items()
            ):
                values = tuple(_last(samples, hour) for hour in range(first, last + 1))
                if any(each is not None for each in values):
                    found.append(Series(labels, values))
        return tuple(found)


def _last(samples: Samples, hour: int) -> float | None:
    within = [value for at, value in samples if hour * 3600 < at <= (hour + 1) * 3600]
    return within[-1] if within else None
