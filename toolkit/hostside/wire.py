"""The pipe to the ops machine: JSON objects, and the events of a running command."""

from collections.abc import Callable
from typing import Any

Document = dict[str, Any]
Report = Callable[[Document], None]
# backend or model -> slot -> a worker's view of it
Servers = dict[str, dict[str, Document]]
