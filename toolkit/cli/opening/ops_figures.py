"""Keep the figures of this ops machine for Prometheus: called after a command that may have changed them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.cli.opening.context import open_history, read_registry
from toolkit.cli.terminal.output import note
from toolkit.errors import ToolkitError

if TYPE_CHECKING:
    from toolkit.domain.deployment.schedule import Schedule
    from toolkit.domain.hosts.metrics import MetricsSetup


def keep_ops_current(home: Path) -> None:
    """Write them where the operator has set a directory up; what cannot be written is a warning."""
    from toolkit.workflows.fleet.metrics import keep_ops_figures

    try:
        keep_ops_figures(home, _schedule, lambda: open_history(home, needed=False).use_runs())
    except ToolkitError as error:
        note(f"warning: the figures of this machine are not current: {error.message}")


def _schedule(setup: MetricsSetup) -> Schedule:
    from toolkit.planning.upkeep.adapter_currency import adapters_to_schedule
    from toolkit.workflows.schedule.install import read_schedule

    registry = read_registry(setup.registry)
    models = [*registry.models, *registry.waiting]
    adapters = adapters_to_schedule(registry)
    return read_schedule(Path(setup.schedule), models, time.time(), adapters)
