"""Whether a model's replicas run all the time."""

from __future__ import annotations

from enum import StrEnum


class WhenAsleep(StrEnum):
    """The answer to a request for a sleeping model.

    With `wait` it waits, and the host wakes the model; with `wake` it is refused with the time until the model is up,
    and the host wakes it; with `refuse` it is refused, and the model sleeps on.
    """

    WAIT = "wait"
    WAKE = "wake"
    REFUSE = "refuse"


WORDS = {
    WhenAsleep.WAIT: "a request waits and wakes it",
    WhenAsleep.WAKE: "a request is told when to come again, and wakes it",
    WhenAsleep.REFUSE: "requests are refused, and do not wake it",
}
