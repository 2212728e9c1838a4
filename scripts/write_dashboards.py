#!/usr/bin/env python3
"""Write the dashboards for Grafana, toolkit/dashboards/*.json. With `--check`, only say which are out of date.

They read the names of the recording rules, see toolkit/planning/metrics/recording.py, and of the hosts' own figures.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from grafana_foundation_sdk.builders import common, dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh

PLACE = Path(__file__).parents[1] / "toolkit" / "dashboards"
SOURCE = DataSourceRef(type_val="prometheus", uid="$datasource")
WIDTH, HEIGHT = 12, 8
# A release that serves and did not serve a minute ago.
BEGINS = "toolkit:release:serving unless toolkit:release:serving offset 1m"


class Panel(NamedTuple):
    """A graph: its title, its unit in Grafana's words, and (query, legend) of its lines."""

    title: str
    unit: str
    lines: Sequence[tuple[str, str]]
    words: str = ""


FLEET = (
    Panel("Requests a second", "reqps", [("toolkit:model:requests:rate5m", "{{model}}")]),
    Panel(
        "Requests that failed",
        "percentunit",
        [("toolkit:model:error_ratio:5m", "{{model}}")],
        "Answers with status 5xx, over five minutes.",
    ),
    Panel(
        "Time to the first token, 95 of 100",
        "s",
        [("toolkit:model:first_token_seconds:p95_5m", "{{model}}")],
    ),
    Panel(
        "Tokens a second",
        "short",
        [
            ("sum by (model) (toolkit:release:tokens_out:rate5m)", "{{model}} out"),
            ("sum by (model) (toolkit:release:tokens_in:rate5m)", "{{model}} in"),
        ],
    ),
    Panel(
        "Replicas that answer",
        "short",
        [("sum by (model) (toolkit:replica:up)", "{{model}}")],
    ),
    Panel("Standbys", "short", [("max by (model) (toolkit_model_standbys)", "{{model}}")]),
    Panel(
        "Requests that wait",
        "short",
        [("sum by (model) (toolkit:replica:waiting)", "{{model}}")],
    ),
    Panel(
        "Cache in use",
        "percentunit",
        [("toolkit:replica:cache_use", "{{host}} {{model}} {{slot}}")],
    ),
    Panel("Requests a second by host", "reqps", [("toolkit:host:requests:rate5m", "{{host}}")]),
    Panel(
        "Free disk",
        "percentunit",
        [("toolkit_disk_free_bytes / toolkit_disk_size_bytes", "{{host}}")],
    ),
    Panel("Files that drift", "short", [("toolkit_drift_files", "{{host}}")]),
    Panel(
        "Since the watch wrote its figures",
        "s",
        [("time() - toolkit_host_written_timestamp_seconds", "{{host}}")],
    ),
)

_MODEL = '{model="$model"}'
_RELEASE = "#{{release}} {{version}}"
_REPLICA = "{{host}} {{slot}} #{{release}}"


def _spread(name: str) -> list[tuple[str, str]]:
    return [
        (f"toolkit:release:{name}_seconds:p{part}_5m{_MODEL}", f"{_RELEASE} {part} of 100")
        for part in (50, 95)
    ]


MODEL = (
    Panel(
        "Requests a second by status",
        "reqps",
        [(f"toolkit:model:requests_by_code:rate5m{_MODEL}", "{{code}}")],
    ),
    Panel(
        "Errors, by window",
        "percentunit",
        [
            *(
                (f"toolkit:model:error_ratio:{window}{_MODEL}", window)
                for window in ("5m", "1h", "6h", "3d")
            ),
            (f"toolkit:model:error_budget{_MODEL}", "budget"),
        ],
    ),
    Panel("Time to the first token", "s", _spread("first_token")),
    Panel("Time between tokens", "s", _spread("between_tokens")),
    Panel("Time in the queue", "s", _spread("queue")),
    Panel("Time of a request", "s", _spread("request")),
    Panel(
        "Tokens a second",
        "short",
        [
            (f"toolkit:release:tokens_in:rate5m{_MODEL}", f"{_RELEASE} in"),
            (f"toolkit:release:tokens_cached:rate5m{_MODEL}", f"{_RELEASE} in, cached"),
            (f"toolkit:release:tokens_out:rate5m{_MODEL}", f"{_RELEASE} out"),
        ],
    ),
    Panel(
        "Traffic of slots, by weight",
        "short",
        [(f"toolkit_slot_weight{_MODEL}", "{{host}} {{slot}}")],
    ),
    Panel(
        "Requests in work",
        "short",
        [
            (f"toolkit:replica:running{_MODEL}", f"{_REPLICA} running"),
            (f"toolkit:replica:waiting{_MODEL}", f"{_REPLICA} waiting"),
        ],
    ),
    Panel("Cache in use", "percentunit", [(f"toolkit:replica:cache_use{_MODEL}", _REPLICA)]),
    Panel(
        "Requests that lost their place in the cache, a second",
        "short",
        [(f"toolkit:replica:preemptions:rate5m{_MODEL}", _REPLICA)],
    ),
    Panel(
        "Steps of the engine a second",
        "short",
        [(f"toolkit:replica:steps:rate5m{_MODEL}", _REPLICA)],
    ),
)


def texts() -> dict[str, str]:
    """Return the text of each dashboard, by the name of its file."""
    model = (
        dashboard.QueryVariable("model")
        .label("Model")
        .datasource(SOURCE)
        .query("label_values(toolkit:replica:up, model)")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    )
    return {
        "toolkit-fleet.json": _text("toolkit-fleet", "Toolkit: fleet", FLEET, []),
        "toolkit-model.json": _text("toolkit-model", "Toolkit: model", MODEL, [model]),
    }


def _text(uid: str, title: str, panels: Sequence[Panel], variables: Sequence[Any]) -> str:
    made = (
        dashboard.Dashboard(title)
        .uid(uid)
        .tags(["toolkit"])
        .refresh("30s")
        .time("now-6h", "now")
        .with_variable(
            dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
        )
        .annotation(
            dashboard.AnnotationQuery()
            .name("Deployments")
            .datasource(SOURCE)
            .enable(True)
            .icon_color("blue")
            .expr(BEGINS)
        )
    )
    for variable in variables:
        made = made.with_variable(variable)
    for number, each in enumerate(panels, 1):
        made = made.with_panel(_panel(each).id(number))
    data = json.loads(JSONEncoder(sort_keys=True).encode(made.build()))
    # The SDK has no field for the words of an annotation.
    for each in data["annotations"]["list"]:
        each.update(titleFormat="{{model}} #{{release}} ({{version}}) serves", step="60s")
    return json.dumps(data, indent=1, sort_keys=True) + "\n"


def _panel(panel: Panel) -> timeseries.Panel:
    made = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.words)
        .unit(panel.unit)
        .min(0)
        .span(WIDTH)
        .height(HEIGHT)
        .datasource(SOURCE)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs([])
        )
        .tooltip(
            common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
        )
    )
    for number, (query, legend) in enumerate(panel.lines):
        made = made.with_target(
            prometheus.Dataquery()
            .ref_id(chr(ord("A") + number))
            .datasource(SOURCE)
            .expr(query)
            .legend_format(legend)
        )
    return made


def main() -> int:
    """Write the files, or say which are out of date."""
    stale = 0
    PLACE.mkdir(exist_ok=True)
    for name, text in texts().items():
        path = PLACE / name
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        stale += 1
        if "--check" in sys.argv:
            print(f"toolkit/dashboards/{name} is out of date: scripts/write_dashboards.py")
        else:
            path.write_text(text, "utf-8")
    return stale if "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
