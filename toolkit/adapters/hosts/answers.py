"""Answers of the host's side -> values of the domain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toolkit.domain.excerpt import escaped
from toolkit.domain.outside import checked, whole

# A rollback must start at once, so types that few commands need are loaded where they are used.
if TYPE_CHECKING:
    from toolkit.domain.hosts.leftover import Leftover
    from toolkit.domain.hosts.perimeter import Listener, Perimeter, ReplicaTries, Try
    from toolkit.domain.replicas.answers import Pair
    from toolkit.domain.trail.audit import KeptHead


def pair_of(data: Mapping[str, Any]) -> Pair:
    """Return the times of one paired request."""
    from toolkit.domain.replicas.answers import Pair, Times

    return Pair(Times(**data["new"]), Times(**data["old"]) if data["old"] else None)


def kept_head_of(host: str, found: Mapping[str, Any]) -> KeptHead:
    """Return a head of the audit log that a host keeps; raises ValueError for numbers that are none."""
    from toolkit.domain.trail.audit import Head, KeptHead

    head = Head(**{name: found[name] for name in Head.__dataclass_fields__})
    return checked(KeptHead(host, head, float(found["at"])))


def perimeter_of(answer: Mapping[str, Any]) -> Perimeter:
    """Return the perimeter in an answer; it is read by the names of fields alone, so that errors repeat no others."""
    from toolkit.domain.hosts.perimeter import Listener, Perimeter, ReplicaTries, Try

    return Perimeter(
        tuple(Listener(**_fields(Listener, each)) for each in answer["listeners"]),
        bool(answer["firewall"]),
        tuple(
            ReplicaTries(
                **{
                    **_fields(ReplicaTries, each),
                    "tries": tuple(Try(**_fields(Try, one)) for one in each["tries"]),
                }
            )
            for each in answer["replicas"]
        ),
    )


def leftover_of(found: Mapping[str, Any]) -> Leftover:
    """Return a leftover in an answer; raises ValueError, KeyError."""
    from toolkit.domain.hosts.leftover import Leftover, LeftoverKind

    size, age = whole(found["bytes"], "bytes"), float(found["age"])
    kind = LeftoverKind(found["kind"])
    of, busy = (escaped(str(found[each])) for each in ("of", "busy"))
    return checked(Leftover(found["path"], kind, of, size, age, busy))


def _fields(kind: type[Listener | ReplicaTries | Try], found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: found[name] for name in kind.__dataclass_fields__}
