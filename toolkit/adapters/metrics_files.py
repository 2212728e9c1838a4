"""The directory for an operator's Prometheus, and what this ops machine keeps of its setup."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from toolkit.adapters.store.files import replace_text
from toolkit.domain.hosts.metrics import MetricsSetup, UsualObjectives
from toolkit.domain.outside import checked, parse_mapping
from toolkit.errors import InputError
from toolkit.regular import read_regular

SETUP = "metrics.json"
_BYTES = 2**20


def read_setup(home: Path) -> MetricsSetup | None:
    """Return the setup that this ops machine keeps below `home`, None without one; raises InputError."""
    path = home / SETUP
    try:
        text = read_regular(path).decode()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path} cannot be read: {words}", hint="toolkit metrics setup") from error
    try:
        data = parse_mapping(text, _BYTES)
        objectives = UsualObjectives(**data.pop("objectives"))
        alertmanagers = tuple(map(str, data.pop("alertmanagers")))
        return checked(MetricsSetup(**data, objectives=objectives, alertmanagers=alertmanagers))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path} is damaged", hint="toolkit metrics setup") from error


def keep_setup(home: Path, setup: MetricsSetup) -> None:
    """Keep the setup below `home`, closed to other users as all files of a home."""
    write_files(home, {SETUP: json.dumps(asdict(setup), indent=2) + "\n"}, mode=0o600)


def write_files(directory: Path, texts: Mapping[str, str], *, mode: int = 0o644) -> tuple[str, ...]:
    """Write files below the directory, each whole or not at all; return those that were not so already.

    By their `mode` they are readable for all: Prometheus has a user of its own, and they have no secrets. Raises
    InputError where one cannot be written.
    """
    changed = []
    for name, text in texts.items():
        path = directory / name
        try:
            if path.is_file() and path.read_bytes() == text.encode():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_text(path, text, mode=mode)
        except OSError as error:
            raise InputError(
                f"{path} cannot be written: {error.strerror}",
                hint="toolkit metrics setup DIR, with a directory of yours",
            ) from error
        changed.append(name)
    return tuple(changed)


def shipped_dashboards() -> dict[str, str]:
    """Return the dashboards for Grafana that come with the toolkit, by path below the directory."""
    place = Path(__file__).parents[1] / "dashboards"
    return {
        f"dashboards/{path.name}": path.read_text("utf-8") for path in sorted(place.glob("*.json"))
    }
