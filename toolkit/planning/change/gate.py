"""The gate: the answers that a replica must give before it takes traffic."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.deployment.release import Release
from toolkit.domain.engines.engine import engine_spec
from toolkit.domain.gates.kind import Kind
from toolkit.domain.registry.release_parts import Check
from toolkit.domain.replicas.probe import Completion
from toolkit.planning.engines import engine_named
from toolkit.planning.guard.checks import TEXTS

# Tokens of an answer in the ways that clients ask, and of the long prompt: at most so many, and half of the context.
_SHORT = 8
_LONG_ON_DEVICES, _LONG_ON_CPU = 4096, 256
# Reasons for which an engine gives a request up, and the answer's status is 200 all the same; empty where it says none.
_GIVEN_UP = ("", "abort", "error")
# Every vocabulary has these entries: the characters that can be printed.
_FIRST, _ENTRIES = 32, 95
_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather at a place.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
    },
}
# Pixels of a side: no processor of images takes less than a patch of them.
_SIDE = 64


def _image() -> str:
    """Return a grey square as the address of a PNG (RFC 2083): 8 bits of grey, no filter."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = b"".join(b"\0" + b"\x80" * _SIDE for _ in range(_SIDE))
    head = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows, 9)), chunk(b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(parts)
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


IMAGE = _image()


@dataclass(frozen=True, slots=True)
class Way:
    """One way in which clients ask. `about` begins a message, `timeout` is in seconds."""

    about: str
    payload: Mapping[str, Any]
    timeout: float


def gate_payload(release: Release, check: Check) -> dict[str, Any]:
    """Return the request that a check of kind `chat` or `completion` asks for."""
    chat = {"messages": [{"role": "user", "content": check.prompt}]}
    asked: dict[str, Any] = {"prompt": check.prompt} if check.kind == Kind.COMPLETION else chat
    return {"model": release.model, **asked, "max_tokens": check.max_tokens, "temperature": 0}


def gate_ways(release: Release) -> tuple[Way, ...]:
    """Return the requests that a replica must answer once after its start, whatever it answers.

    At temperature 0 an engine computes no sampling at all. Kernels that are first needed later end it under traffic.
    A model that gives no text, by its checks, has none of these ways.
    """
    checks = release.checks or (Check("Say hello."),)
    check = next((each for each in checks if each.kind in TEXTS), None)
    if check is None:
        return ()
    asked = {**gate_payload(release, check), "max_tokens": _SHORT}
    sampled = {**asked, "temperature": 1, "top_p": 0.9, "top_k": 20}
    # Without any option the engine samples as the repository's generation_config.json says.
    plain = {key: value for key, value in asked.items() if key != "temperature"}
    tokens = [_FIRST + place % _ENTRIES for place in range(_long(release))]
    long = {"model": release.model, "prompt": tokens, "max_tokens": _SHORT, "temperature": 0}
    requests = (
        ("asked with temperature, top_p and top_k", sampled),
        ("asked with the repository's own sampling", plain),
        ("asked for a stream", {**sampled, "stream": True}),
        (f"asked with a prompt of {len(tokens):,} tokens", long),
        *_able_ways(release, sampled),
    )
    return tuple(Way(about, payload, check.timeout) for about, payload in requests)


def _able_ways(
    release: Release, sampled: Mapping[str, Any]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield a request for each further ability. The model may say anything; the engine must answer in its form."""
    able = release.does
    if able is None or able.kind is not Kind.CHAT:
        return
    if able.tools:
        yield "asked with a tool", {**sampled, "tools": [_TOOL]}
        yield "asked for a stream with a tool", {**sampled, "tools": [_TOOL], "stream": True}
    if able.vision:
        content = [
            {"type": "image_url", "image_url": {"url": IMAGE}},
            {"type": "text", "text": "?"},
        ]
        yield (
            "asked about an image",
            {**sampled, "messages": [{"role": "user", "content": content}]},
        )


def gate_fault(check: Check, answer: Completion) -> str:
    """Return why an answer does not pass its check; empty where it passes."""
    asked = f"asked {check.prompt!r}, it"
    if fault := _failure(asked, answer):
        return fault
    if not answer.text.strip():
        return f"{asked} answered nothing (empty text, finish_reason {answer.finish_reason!r})"
    if check.contains and check.contains not in answer.text:
        return f"{asked} answered {answer.text[:80]!r}, without {check.contains!r}"
    return ""


def way_fault(way: Way, answer: Completion) -> str:
    """Return why a replica does not answer one way of asking; empty where it answers anything."""
    return _failure(f"{way.about}, it", answer)


def _failure(asked: str, answer: Completion) -> str:
    if answer.status == 0:
        return f"{asked} gave no answer: {answer.error}"
    if answer.status != 200:
        return f"{asked} answered HTTP {answer.status}: {answer.error[:200]}"
    if answer.error:
        return f"{asked} answered {answer.error}"
    if answer.finish_reason in _GIVEN_UP:
        return f"{asked} broke its answer off (finish_reason {answer.finish_reason!r})"
    return ""


def _long(release: Release) -> int:
    """Return the tokens of the long prompt: few on a CPU, where a thousand take seconds."""
    # Here and not above: a standby is not asked for this.
    from toolkit.domain.engines.fit import NotUnderstoodError

    spec = engine_spec(release.engine)
    engine = engine_named(spec.name)
    try:
        context = engine.read_options(spec.version, release.args, release.env).context
    except NotUnderstoodError:
        context = None
    if release.does and f"--{engine.context_flag(spec.version)}" not in release.args:
        # Where nothing is stated it is the model's own; with `auto` the engine chooses what fits.
        context = release.does.context
    on_devices = Accelerator(release.accelerator).traits.has_devices
    most = _LONG_ON_DEVICES if on_devices and context else _LONG_ON_CPU
    return max(1, min(most, (context or 2 * most) // 2))
