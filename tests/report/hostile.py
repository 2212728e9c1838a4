"""Findings whose texts try to break out of the page of a report."""

from __future__ import annotations

from decimal import Decimal

from tests.report.made_up import NOW
from toolkit.domain.clients.tally import Tally
from toolkit.domain.gates.verdict import Verdict
from toolkit.domain.hosts.facts import FleetFacts, HostFacts, ProcessState, RouterFacts, SlotFacts
from toolkit.domain.registry.objective import Objective, Promise
from toolkit.errors import HostError
from toolkit.planning.economics.summary import Summary
from toolkit.planning.objectives.attained import attained
from toolkit.planning.objectives.measured import Measured
from toolkit.planning.report.changes import ChangeEnd, GateSummary, PastChange, Reign
from toolkit.planning.report.findings import Cost, Findings, UpstreamFindings, Use
from toolkit.planning.report.latency import Before
from toolkit.planning.report.use import Sum

HOSTILE = (
    "</td></table><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "'><svg onload=alert(1)>",
    "]]><!--",
    "</style><style>body{display:none}",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "javascript:alert(1)",
    "\u202egnp.exe",
    "\x00\x1b[31m\ud800",
    "x" * 5000,
)


def hostile(text: str) -> Findings:
    """Return findings in which every text is the same one."""
    change = PastChange(
        text,
        text,
        2,
        text,
        1,
        text,
        (text,),
        text,
        NOW - 9000,
        NOW - 8000,
        ChangeEnd.RETURNED,
        text,
        (GateSummary(text, Verdict.FAILED, f"{text} again"), GateSummary(text, Verdict.PASSED)),
    )
    slot = SlotFacts(
        text, text, 1, process=ProcessState.RUNNING, healthy=True, weight=100, drift=(text,)
    )
    host = HostFacts(
        text, NOW, slots=(slot,), router=RouterFacts(running=True), memory=1, disk_total=1
    )
    return Findings(
        NOW - 86_400,
        NOW,
        FleetFacts({text: host}, {f"{text}2": HostError(text)}, {text: text, f"{text}2": text}),
        (change,),
        (Reign(text, 2, text, NOW - 9000, None),),
        (Before(change, text, text, 40.0, 50.0),),
        Use((Sum(text, 1, 2, 0, 3),), (Sum(text, 1, 2, 0, 3),), names=(text,)),
        (text,),
        (text,),
        UpstreamFindings(asked=True, fault=text),
        text,
        Cost(
            (Summary(text, text, Decimal(2), None, text, Decimal(1), text),), (text,), stated=True
        ),
        (measured(text, Tally(HOUR, text, text, text, 3, {"200": 10, f"500:{text}": 5})),),
    )


HOUR = int(NOW // 3600)


def measured(model: str, *tallies: Tally) -> Measured:
    """Return a model that promises that 90 % of its requests are answered."""
    promised = Objective(Promise.AVAILABILITY, 0.9)
    return Measured(model, 28, NOW, (attained(promised, tallies, HOUR),), ())
