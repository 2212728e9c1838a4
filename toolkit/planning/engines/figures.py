"""The metrics of engines that rules and dashboards read, by what they mean."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figures:
    """Names of metrics without the endings that the exposition adds (`_total`, `_bucket`).

    `first`, `between`, `queue` and `whole` are histograms of seconds: until the first token, between tokens, in the
    queue, and of a whole request. `running` and `waiting` are gauges of requests, `cache` is the share of the cache in
    use, from 0 to 1. `prompt`, `cached` and `generated` count tokens, `preempted` counts requests that lost their place
    in the cache. `steps` is a histogram with an entry for each step of the engine: its count is the heartbeat.
    """

    first: str
    between: str
    queue: str
    whole: str
    running: str
    waiting: str
    cache: str
    prompt: str
    cached: str
    generated: str
    preempted: str
    steps: str
