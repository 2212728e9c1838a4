"""What the guard of a release keeps of figures over a new start, a gap and the next phase."""

from __future__ import annotations

import json
import sys

from tests.hostside.router_lab import REPO
from tests.hostside.test_guard_judge import ORDER, judged, pair, said, seconds, traffic

sys.path.insert(0, str(REPO / "toolkit/hostside"))

from guard_judge import Judge


def test_a_guard_that_starts_again_goes_on_where_it_was() -> None:
    looks = seconds(lambda at: traffic(20, 0, failed=1))
    judge = Judge({**ORDER, "phase": "bake", "seconds": 600.0})
    for _ in range(15):
        judge.look(next(looks))
    state = json.loads(json.dumps(judge.as_json()))
    again = Judge(judge.order)
    again.restore(state)
    assert (again.watched, again.counted) == (judge.watched, judge.counted)
    assert again.as_json() == judge.as_json()
    verdict, at, _ = judged(looks, again)
    assert verdict == "failed"
    assert at < 60


def test_a_gap_in_which_nobody_watched_does_not_count() -> None:
    judge = Judge({**ORDER, "seconds": 60.0})
    for look in seconds():
        judge.look(look._replace(at=look.at * 100))
        if look.at == 10:
            break
    assert judge.watched < 60
    assert judge.verdict() == ("", "")


def test_what_a_phase_has_shown_counts_in_the_next_one() -> None:
    looks = seconds(probe=lambda at: pair(said(seconds=0.15)))
    first = Judge({**ORDER, "seconds": 600.0})
    for _ in range(40):
        first.look(next(looks))
    assert first.verdict() == ("", "")
    second = Judge({**ORDER, "phase": "bake", "number": 2, "seconds": 600.0})
    second.learn(json.loads(json.dumps(first.as_json()))["learned"])
    assert second.counted == (0, 0)
    alone = Judge(second.order)
    assert (
        judged(looks, second)[1] - 40
        < judged(seconds(probe=lambda at: pair(said(seconds=0.15))), alone)[1]
    )
