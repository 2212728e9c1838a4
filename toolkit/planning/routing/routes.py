"""Routes: public model name -> the slots that answer for it.

All routers of a fleet have the same routes. `serial` counts the changes: where two routers differ, the one that a later
command has told is right, see `Routes.age`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from toolkit.domain.replicas.warmth import WhenAsleep
from toolkit.errors import InputError

MAX_WEIGHT = 256
# Seconds; clients give up earlier.
MAX_HOLD = 3600
# Seconds that requests for an adapter wait, at most, while it is exchanged. That takes a part of a second.
ADAPTER_HOLD = 30
# Shares are in parts of this of a model's requests.
WHOLE = 10_000
# The weight of a target with all traffic of its host, and of a standby that takes it over.
FULL_WEIGHT = STANDBY_WEIGHT = 100
# Of a canary, where nothing with a weight is up.
CANARY_WEIGHT = 1
LEAST, PREFIX = "least-connections", "prefix"
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")
_KIND = re.compile(r"[a-z/]{0,64}")
_SLOT = re.compile(r"[a-z][a-z0-9-]{0,31}")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")
_RELAY = re.compile(r"[0-9.]{7,15}:[0-9]{1,5}")


def is_relay(text: str) -> bool:
    """Whether `text` is an address and port at which a router can take requests from others."""
    return bool(_RELAY.fullmatch(text))


def target_name(label: str, slot: str) -> str:
    """Return the name in routers of a slot of the host that routes call `label`; the only host has no label."""
    return f"{label}.{slot}" if label else slot


@dataclass(frozen=True, slots=True)
class Target:
    """A slot's loopback port and its weight in the model's traffic (0: none, at most 256).

    A canary has no weight but a `share`: of 10,000 of the model's requests, so many are drawn for it, and the targets
    with weights get the others. In a fleet of several hosts, `host` names the target's host, and `relay` is the address
    and port at which that host's router takes requests from the others. A `standby` passed its gate: without traffic of
    its own, it takes the model's traffic while no target with a weight is up. A target that the guard of its host has
    `withdrawn` gets nothing. A `former` target lost its traffic to a swap: while nothing serves the model and no
    command is there, hosts give it back, see `hold_lease.py` of the host's side. `adapters` are the public names of the
    LoRA adapters that its replica has, `waiting` those that it is exchanging, `aliases` its model's other names. `kind`
    is what its release answers and `context` the tokens that a request has at most; empty and 0 where nobody read the
    files of its model. The replica of a target that is `asleep` has been ended; the word says which part the target
    gets back: `serving` or `standby`, or `none`.
    """

    slot: str
    port: int
    weight: int = 0
    host: str = ""
    relay: str = ""
    standby: bool = False
    share: int = 0
    withdrawn: bool = False
    former: bool = False
    adapters: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    kind: str = ""
    context: int = 0
    asleep: str = ""

    def __post_init__(self) -> None:
        """Refuse values that would break the router's files; raises InputError."""
        if not _SLOT.fullmatch(self.slot):
            raise InputError(f"{self.slot!r} is not a name for a slot")
        if not 0 < self.port < 65536:
            raise InputError(f"{self.port} is not a port")
        if not 0 <= self.weight <= MAX_WEIGHT:
            raise InputError(f"weight {self.weight} is not between 0 and {MAX_WEIGHT}")
        if not 0 <= self.share <= WHOLE:
            raise InputError(f"a share of {self.share} is not between 0 and {WHOLE}")
        self._check_parts()
        for name in (*self.adapters, *self.aliases):
            if not _MODEL.fullmatch(name):
                raise InputError(f"the name {name!r} cannot be routed")
        if not _KIND.fullmatch(self.kind):
            raise InputError(f"{self.kind!r} is no kind of model")
        if self.host and not (_HOST.fullmatch(self.host) and _RELAY.fullmatch(self.relay)):
            raise InputError(f"{self.host!r} at {self.relay!r} cannot be routed to")

    def _check_parts(self) -> None:
        """Refuse parts in the traffic that exclude each other."""
        if self.share and (self.weight or self.standby):
            raise InputError(f"{self.slot} has a share beside a weight or a part as a standby")
        if self.withdrawn and (self.weight or self.share or self.standby):
            raise InputError(f"{self.slot} was withdrawn by the guard of its host")
        if self.asleep and (
            self.asleep not in ("serving", "standby", "none") or self.weight or self.standby
        ):
            raise InputError(f"{self.slot} sleeps and takes part in the traffic")

    @property
    def name(self) -> str:
        """The target's name in the router: `blue`, or `gpu1.blue` in a fleet."""
        return target_name(self.host, self.slot)

    @property
    def backup_weight(self) -> int:
        """The target's share of the traffic while no target with a weight is up.

        A canary has passed its gates and answers clients. It takes over where nothing else does, and beside a standby,
        which has proven more, it gets next to nothing.
        """
        if self.weight:
            return 0
        return STANDBY_WEIGHT if self.standby else CANARY_WEIGHT if self.share else 0

    def address(self, at: str) -> str:
        """Return the address at which the router of the host `at` reaches the target."""
        return f"127.0.0.1:{self.port}" if self.host in ("", at) else self.relay


@dataclass(frozen=True, slots=True)
class Alternate:
    """A model that may have the memory while another one sleeps: a start of it usually takes `starts` seconds.

    While it sleeps for the other one, its requests wait for up to `hold` seconds.
    """

    model: str
    starts: int
    hold: int

    def __post_init__(self) -> None:
        """Refuse values that would break the router's files; raises InputError."""
        if not _MODEL.fullmatch(self.model) or not 0 <= self.hold <= MAX_HOLD:
            raise InputError(f"{self.model!r} cannot be an alternate")
        if not 1 <= self.starts <= MAX_HOLD:
            raise InputError(f"a start does not take {self.starts} s")


@dataclass(frozen=True, slots=True)
class Sleep:
    """The sleep of a model, named `id`: no target of it has a replica that runs, until it wakes.

    `policy` says what a request gets meanwhile, see `WhenAsleep`; a start usually takes `starts` seconds. While the
    model wakes, it is `due` at that time, in whole seconds since the epoch; 0 while it sleeps. `since` is when it fell
    asleep. Before it wakes, its host puts the models of `alternates` to sleep, each once it has nothing to do.
    """

    id: str
    policy: str
    starts: int
    since: int = field(default=0, compare=False)
    due: int = 0
    alternates: tuple[Alternate, ...] = ()

    def __post_init__(self) -> None:
        """Refuse values that would break the router's files; raises InputError."""
        if not re.fullmatch(r"[0-9a-f]{1,32}", self.id) or self.policy not in list(WhenAsleep):
            raise InputError(f"a sleep {self.id!r} with {self.policy!r} is none")
        if not 1 <= self.starts <= MAX_HOLD or self.since < 0 or self.due < 0:
            raise InputError(f"a start does not take {self.starts} s")


@dataclass(frozen=True, slots=True)
class Route:
    """A public model name and its targets. `created` is in whole seconds since the epoch.

    `routing` selects the target of a request: `least-connections`, or `prefix`, which prefers the target that had
    the same first message before. While no target has a weight, requests wait for one for `hold` seconds; with 0
    they are refused. While one has, `hold` lets them wait where all such targets are down. For the adapters that are
    `waiting`, requests wait for up to `ADAPTER_HOLD` seconds.
    `took_over` is the time at which a standby took the traffic over by itself, in seconds since the epoch; 0 where
    a command gave the traffic. Each host notes it by its own clock. `sleep` is there while targets are asleep. Among
    routes with a name in common, the one with the highest `named` got it last, see `names.py`.
    """

    model: str
    targets: tuple[Target, ...]
    created: int = 0
    routing: str = LEAST
    took_over: float = field(default=0.0, compare=False)
    hold: int = 0
    sleep: Sleep | None = None
    named: int = 0

    def __post_init__(self) -> None:
        """Refuse a name that fits no URL, map or configuration line; raises InputError."""
        if not _MODEL.fullmatch(self.model):
            raise InputError(
                f"{self.model!r} cannot be routed",
                hint="a model's name has letters, digits and . _ / - alone",
            )
        if len({target.name for target in self.targets}) != len(self.targets):
            raise InputError(f"{self.model} has a slot twice")
        if not 0 <= self.hold <= MAX_HOLD:
            raise InputError(f"requests cannot wait for {self.hold} s")
        if sum(target.share for target in self.targets) > WHOLE:
            raise InputError(f"{self.model} has shares of more than all requests")

    @property
    def partly_awake(self) -> bool:
        """Whether the model sleeps on some of its hosts and has traffic on others."""
        return bool(self.sleep) and any(each.weight for each in self.targets)

    @property
    def adapters(self) -> tuple[str, ...]:
        """The adapters that clients can request, ordered: those that each target with traffic has.

        While no target has any, because requests wait for one, those that any target has.
        """
        return self._shared(lambda target: target.adapters)

    @property
    def waiting(self) -> tuple[str, ...]:
        """The adapters whose requests wait, ordered: those that any target exchanges."""
        return tuple(sorted({name for each in self.targets for name in each.waiting}))

    @property
    def aliases(self) -> tuple[str, ...]:
        """The model's other names that clients can request, ordered: those that each target with traffic knows."""
        return self._shared(lambda target: target.aliases)

    def _shared(self, names: Callable[[Target], tuple[str, ...]]) -> tuple[str, ...]:
        busy = [set(names(each)) for each in self.targets if each.weight or each.share]
        some = {name for each in self.targets for name in names(each)}
        return tuple(sorted(set.intersection(*busy) if busy else some))

    @property
    def described(self) -> Target | None:
        """The target whose release describes the model to clients: the one with the most traffic, None without any."""
        return max(self.targets, key=lambda target: (target.weight, target.share), default=None)

    def weight(self, name: str) -> int:
        """Return the weight of the target `name`; 0 where the route has no such target."""
        return next((target.weight for target in self.targets if target.name == name), 0)

    def on(self, host: str) -> tuple[Target, ...]:
        """Return the targets on `host`."""
        return tuple(target for target in self.targets if target.host == host)

    def beside(self, name: str) -> str:
        """Return the target on the host of the target `name` that has traffic in its place; empty where none has."""
        host = next(target.host for target in self.targets if target.name == name)
        others = [each for each in self.on(host) if each.name != name and each.weight]
        return max(others, key=lambda each: each.weight).name if others else ""

    def main(self, at: str = "") -> str:
        """Return the name of the target with the most traffic, empty where none has any.

        Among equal weights, prefer the target on the host `at`.
        """
        heaviest = max(
            self.targets, key=lambda target: (target.weight, target.host == at), default=None
        )
        return heaviest.name if heaviest is not None and heaviest.weight else ""


@dataclass(frozen=True, slots=True)
class Routes:
    """All routes of a fleet's routers, ordered by model.

    Of the changes that `serial` counts, the last `own` are a host's without a command: it woke a model, say.
    """

    routes: tuple[Route, ...] = ()
    serial: int = 0
    own: int = 0

    @property
    def age(self) -> tuple[int, int]:
        """A number that is higher for later routes: the last command's count, then the host's own changes since.

        A host that missed a command may have counted any number of changes itself.
        """
        return self.serial - self.own, self.own

    def later(self) -> Routes:
        """Return the routes as a command tells them after these."""
        return replace(self, serial=self.serial + 1, own=0)

    def of(self, model: str) -> Route | None:
        """Return the route of `model`, or None."""
        return next((route for route in self.routes if route.model == model), None)

    def as_json(self, at: str = "") -> dict[str, Any]:
        """Return the content of `routes.json` in the router of the host `at`."""
        return {
            "at": at,
            "serial": self.serial,
            **({"own": self.own} if self.own else {}),
            "routes": [
                {
                    "model": route.model,
                    "created": route.created,
                    **({} if route.routing == LEAST else {"routing": route.routing}),
                    **({"took_over": route.took_over} if route.took_over else {}),
                    **({"hold": route.hold} if route.hold else {}),
                    **({"sleep": _sleep_json(route.sleep)} if route.sleep else {}),
                    **({"named": route.named} if route.named else {}),
                    **({"adapters": [*route.adapters]} if route.adapters else {}),
                    **(
                        {"waiting": dict.fromkeys(route.waiting, ADAPTER_HOLD)}
                        if route.waiting
                        else {}
                    ),
                    "targets": [_target_json(target) for target in route.targets],
                }
                for route in self.routes
            ],
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Routes:
        """Return the routes whose `as_json` is `data`; an empty mapping has none."""
        return Routes(
            tuple(
                Route(
                    each["model"],
                    tuple(map(_target, each["targets"])),
                    each["created"],
                    each.get("routing", LEAST),
                    each.get("took_over", 0.0),
                    each.get("hold", 0),
                    _sleep(each["sleep"]) if each.get("sleep") else None,
                    int(each.get("named", 0)),
                )
                for each in data.get("routes", ())
            ),
            int(data.get("serial", 0)),
            int(data.get("own", 0)),
        )


def _sleep_json(sleep: Sleep) -> dict[str, Any]:
    data = asdict(sleep)
    alternates = list(data.pop("alternates"))
    return {**data, **({"alternates": alternates} if alternates else {})}


def _sleep(data: Mapping[str, Any]) -> Sleep:
    return Sleep(
        **{**data, "alternates": tuple(Alternate(**each) for each in data.get("alternates", ()))}
    )


def _target_json(target: Target) -> dict[str, Any]:
    data = {"slot": target.slot, "port": target.port, "weight": target.weight}
    host = {"host": target.host, "relay": target.relay} if target.host else {}
    share = {"share": target.share} if target.share else {}
    standby = {"standby": True} if target.standby else {}
    withdrawn = {"withdrawn": True} if target.withdrawn else {}
    former = {"former": True} if target.former else {}
    adapters = {"adapters": [*target.adapters]} if target.adapters else {}
    aliases = {"aliases": [*target.aliases]} if target.aliases else {}
    kind = {"kind": target.kind} if target.kind else {}
    context = {"context": target.context} if target.context else {}
    waiting = {"waiting": [*target.waiting]} if target.waiting else {}
    asleep = {"asleep": target.asleep} if target.asleep else {}
    told = {**adapters, **waiting, **aliases, **kind, **context, **asleep}
    return {**data, **host, **standby, **share, **withdrawn, **former, **told}


def _target(data: Mapping[str, Any]) -> Target:
    lists = {name: tuple(data.get(name, ())) for name in ("adapters", "aliases", "waiting")}
    return Target(**{**data, **lists})


def backend_name(model: str) -> str:
    """Return the name of the model's backend: `model.` and the name, with `:` for `/`."""
    return "model." + model.replace("/", ":")
