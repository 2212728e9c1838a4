"""`toolkit rollback`: go back to a release that was live."""

from __future__ import annotations

import re
import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.arguments.options import site_options
from toolkit.cli.changing.change import ChangeOptions, change_options, change_release, connecting
from toolkit.cli.opening.trail import changing
from toolkit.errors import InputError, RefusedError

if TYPE_CHECKING:
    from toolkit.adapters.history.history import History
    from toolkit.planning.change.rollout import RolloutPlan
    from toolkit.workflows.change.wanted import Order

_RELEASE = re.compile(r"#?(0|[1-9][0-9]{0,11})")


@click.command()
@connecting
@changing(goes_on=True)
@click.argument("model")
@click.option(
    "--to",
    "target",
    default=None,
    metavar="RELEASE|VERSION",
    help="Release to go back to, or the newest one of a version.  [default: the one before]",
)
@click.option(
    "--source",
    default="",
    metavar="OWNER/NAME",
    help="Go back to this repository, also where its owner is another than that of what serves.",
)
@change_options
@site_options()
def rollback(model: str, target: str | None, source: str, **options: Any) -> None:
    """Go back to the release that was live before, or to any other."""
    chosen = ChangeOptions(**options)

    def order(history: History) -> Order:
        from toolkit.workflows.change.wanted import back

        number = None if target is None else _number(model, target, history)
        return back(model, number, history, **chosen.of_order())

    def consent(plan: RolloutPlan) -> bool:
        """Ask for each repository of another owner by its name, which `--yes` does not answer."""
        return all(repo == source or _agreed(repo) for repo in plan.other_owners)

    change_release(chosen, None, order, consent)


def _number(model: str, target: str, history: History) -> int:
    """Return the number of a release: that of `7` or `#7`, the newest one of a version's name; raises InputError.

    A version may be named by digits, such as the first ones of a commit.
    """
    number = int(found[1]) if (found := _RELEASE.fullmatch(target)) else None
    if number is not None and target.startswith("#"):
        return number
    versions = {each.number: each.version for each, _ in history.releases(model)}
    named = [each for each, version in versions.items() if version == target]
    if named and number not in versions:
        return max(named)
    if number is None:
        raise InputError(
            f"{model} has no release of version {target!r}", hint=f"toolkit releases {model}"
        )
    if named and number not in named:
        raise InputError(
            f"{target} is release #{number} ({versions[number]}) and a version, which has #{max(named)}",
            hint=f"toolkit rollback {model} --to '#{number}', or --to '#{max(named)}'",
        )
    return number


def _agreed(repo: str) -> bool:
    if sys.stdin is None or not sys.stdin.isatty():
        # With the release and the hosts that were named: without them it would go back elsewhere.
        typed = shlex.join(["toolkit", *sys.argv[1:]])
        raise RefusedError(
            f"this goes back to the weights of {repo}, which is another owner's",
            hint=f"{typed} --source {repo}",
        )
    from toolkit.cli.views.plan import confirmed

    return confirmed(f"go back to the weights of {repo}, which is another owner's?")
