"""Supervise the engine process of this host, for a replica that runs on several hosts.

    python span_supervisor.py SPAN.json COMMAND...

SPAN.json: {"rank": 0, "hosts": [addresses, the leader's first], "port": 28000, "door": 8100}

vLLM's processes on several hosts find each other only when they start, and one that loses the others waits forever
while it reports that it is healthy. Therefore this program is the main process of the slot on every host. The leader
(rank 0) listens at its address on `port`. Every host starts COMMAND once all hosts have connected, and kills it once
one of them is gone or silent. The hosts' init systems then start this program anew, and the hosts meet again. This
program passes SIGTERM on to COMMAND, and ends with COMMAND.

Only the leader's engine speaks HTTP. On the other hosts this program accepts connections at 127.0.0.1:`door`, the
address of an engine, and forwards them to the leader's.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

BEAT = 1.0
# A host whose processors are all busy may be silent for a while; a needless restart takes minutes.
SILENCE = 15.0
PIECE = 65536
SIOCGIFADDR = 0x8915
# Before Python 3.11 asyncio raises a TimeoutError of its own.
TIMEOUTS = (TimeoutError, asyncio.TimeoutError)

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter


class Lost(Exception):
    """A host of the replica is gone; the message says how."""


async def main(span: dict[str, Any], command: list[str]) -> int:
    """Run `command` while all hosts are there; return its exit status, or 1 where a host was lost."""
    part = lead if span["rank"] == 0 else follow
    environment = {**own_interface(span["hosts"][span["rank"]]), **os.environ}
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    together: asyncio.Future[None] = loop.create_future()
    linked = asyncio.ensure_future(part(span, together))
    stop = asyncio.ensure_future(stopped.wait())
    try:
        await first_of(linked, together, stop)
        if stop.done() or linked.done():
            return parted(linked)
        tell("all hosts of the replica are there; it starts")
        engine = await asyncio.create_subprocess_exec(*command, env=environment)
        ended = asyncio.ensure_future(engine.wait())
        await first_of(linked, ended, stop)
        status = 0
        if stop.done():
            # The other hosts may stop at the same time; the engine here still ends in its own way.
            end(engine, signal.SIGTERM)
        elif not ended.done():
            status = parted(linked)
            end(engine, signal.SIGKILL)
        return status or await ended
    finally:
        linked.cancel()
        stop.cancel()


async def first_of(*futures: asyncio.Future[Any]) -> None:
    """Return once one of the futures is done."""
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


def end(engine: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Send the engine a signal, if it still runs."""
    with contextlib.suppress(ProcessLookupError):
        engine.send_signal(number)


def parted(linked: asyncio.Future[None]) -> int:
    """Return 1 and log the reason where the connection to a host was lost, otherwise 0."""
    if not linked.done():
        return 0
    error = linked.exception()
    tell(f"the replica ends here: {error}")
    return 1


async def lead(span: dict[str, Any], together: asyncio.Future[None]) -> None:
    """Accept the connections of the other hosts; raises Lost once one of them is gone after the start."""
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    gathering = Gathering(span["hosts"][1:], together, lost)

    async def come(reader: Reader, writer: Writer) -> None:
        peer = writer.get_extra_info("peername")[0]
        try:
            if peer not in gathering.others:
                return
            line = await asyncio.wait_for(reader.readline(), SILENCE)
            word = line.decode(errors="replace").strip()
            if word == "door":
                await pass_on(reader, writer, ("127.0.0.1", span["door"]))
            elif word == "member" and peer not in gathering.here:
                await gathering.keep(peer, reader, writer)
        except (OSError, *TIMEOUTS):
            pass
        finally:
            await close(writer)

    server = await asyncio.start_server(come, span["hosts"][0], span["port"])
    async with server:
        await lost


class Gathering:
    """The hosts that are `here`: `together` is done once all `others` are, and `lost` fails once one is gone then."""

    def __init__(
        self, others: list[str], together: asyncio.Future[None], lost: asyncio.Future[None]
    ) -> None:
        self.others, self._together, self._lost = others, together, lost
        self.here: dict[str, Writer] = {}

    async def keep(self, peer: str, reader: Reader, writer: Writer) -> None:
        """Count a host while its connection lasts; start the replica once all hosts are here."""
        self.here[peer] = writer
        missing = len(self.others) - len(self.here)
        tell(f"{peer} has come, {missing} are missing")
        if not missing and not self._together.done():
            self._together.set_result(None)
            for each in self.here.values():
                each.write(b"start\n")
        try:
            await beat(reader, writer, peer)
        except Lost as error:
            del self.here[peer]
            # Before the start nothing is lost: the host may connect again.
            if self._together.done() and not self._lost.done():
                self._lost.set_exception(error)


async def follow(span: dict[str, Any], together: asyncio.Future[None]) -> None:
    """Connect to the leader and forward requests to it; raises Lost once it is gone after the start."""
    leader, own = span["hosts"][0], (span["hosts"][span["rank"]], 0)

    def heard(line: bytes) -> None:
        if line == b"start\n" and not together.done():
            together.set_result(None)

    async def come(inner: Reader, outer: Writer) -> None:
        try:
            await pass_on(inner, outer, (leader, span["port"]), own, b"door\n")
        except OSError:
            pass
        finally:
            await close(outer)

    async with await asyncio.start_server(come, "127.0.0.1", span["door"]):
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(leader, span["port"], local_addr=own)
                try:
                    writer.write(b"member\n")
                    await beat(reader, writer, f"the leader {leader}", heard)
                except Lost:
                    if together.done():
                        raise
                finally:
                    await close(writer)
            # The leader does not listen yet, or still holds the connection of this host's former start.
            await asyncio.sleep(BEAT)


async def beat(
    reader: Reader, writer: Writer, who: str, heard: Callable[[bytes], None] = lambda line: None
) -> None:
    """Write and read a line each second; raises Lost where the other end closes or is silent."""

    async def write() -> None:
        with contextlib.suppress(OSError):
            while True:
                writer.write(b"here\n")
                await writer.drain()
                await asyncio.sleep(BEAT)

    writing = asyncio.ensure_future(write())
    try:
        while line := await asyncio.wait_for(reader.readline(), SILENCE):
            heard(line)
    except TIMEOUTS:
        raise Lost(f"{who} was silent for {SILENCE:.0f} s") from None
    except OSError as error:
        raise Lost(f"{who}: {error.strerror}") from None
    finally:
        writing.cancel()
    raise Lost(f"{who} has gone")


async def pass_on(
    reader: Reader,
    writer: Writer,
    to: tuple[str, int],
    own: tuple[str, int] | None = None,
    first: bytes = b"",
) -> None:
    """Forward a connection to the address `to`, both ways, until that side ends its answer."""
    answers, requests = await asyncio.open_connection(*to, local_addr=own)
    sending = asyncio.ensure_future(send(reader, requests, first))
    try:
        await copy(answers, writer)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await close(requests)


async def send(reader: Reader, requests: Writer, first: bytes) -> None:
    """Forward a client's requests. A client that closes its side may still wait for the answer."""
    requests.write(first)
    await copy(reader, requests)
    requests.write_eof()


async def copy(reader: Reader, writer: Writer) -> None:
    """Copy from `reader` to `writer`, at the pace of the slower one."""
    while piece := await reader.read(PIECE):
        writer.write(piece)
        await writer.drain()


async def close(writer: Writer) -> None:
    """Close a connection in whatever state it is."""
    writer.close()
    with contextlib.suppress(OSError, asyncio.CancelledError):
        await writer.wait_closed()


def own_interface(address: str) -> dict[str, str]:
    """Return the variables that tell collective libraries which interface has `address`.

    By default gloo takes the interface of the host's own name, often loopback.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            with contextlib.suppress(OSError):
                found = fcntl.ioctl(probe.fileno(), SIOCGIFADDR, request)[20:24]
                if socket.inet_ntoa(found) == address:
                    # NCCL reads a name as a prefix, unless `=` stands before it.
                    return {"GLOO_SOCKET_IFNAME": name, "NCCL_SOCKET_IFNAME": f"={name}"}
    return {}


def tell(text: str) -> None:
    """Write a line to the replica's log."""
    sys.stdout.write(f"span supervisor: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        sys.exit(asyncio.run(main(json.load(file), sys.argv[2:])))
