"""The behaviour of a version's replicas: the hosts in memory play it, and so does the engine of the tests."""

from __future__ import annotations

from enum import StrEnum


class Behaviour(StrEnum):
    """The behaviour of a version's replicas."""

    GOOD = "good"
    DIES_AT_START = "dies at start"
    NEVER_READY = "never ready"
    EMPTY = "answers nothing"
    ERROR = "answers errors"
    DIES_UNDER_TRAFFIC = "dies under traffic"
    HANGS = "hangs"
    DIES_SAMPLING = "dies sampling"
    DIES_AT_ONCE = "dies at its first request"
    # Replicas that are to doze: the first does not fall asleep, the second does not wake.
    NEVER_SLEEPS = "never sleeps"
    NEVER_WAKES = "never wakes"
    SLOW = "is slow"
    # The next ones pass every gate: only the requests of clients show them, or begin them.
    ERRORS_TO_CLIENTS = "answers errors to clients"
    ERRORS_AT_TIMES = "fails one client in twenty"
    HANGS_LATER = "hangs after a client"
    EMPTY_LATER = "answers nothing after a client"
    WRONG_LATER = "answers wrongly after a client"
    GROWS = "grows with each client"
    DIES_LATER = "dies 20 s after a client"
    # The first two behave alike but for their speed; the third one reads nothing but the last turn of a chat.
    STEADY = "answers in 50 ms"
    TWICE_AS_SLOW = "answers in 100 ms"
    WRONG_TEMPLATE = "reads the last turn alone"


# The behaviours that a guard returns under traffic.
UNFIT = (Behaviour.EMPTY, Behaviour.ERROR, Behaviour.DIES_UNDER_TRAFFIC, Behaviour.HANGS)
