"""What goes over the pipe: JSON objects, and how a command tells what happens on its way."""

from collections.abc import Callable
from typing import Any

Document = dict[str, Any]
Report = Callable[[Document], None]
# backend or model -> slot -> what the router says of it
Servers = dict[str, dict[str, Document]]
