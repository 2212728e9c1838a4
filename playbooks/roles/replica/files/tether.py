"""Hold the engine processes of one replica that runs on several hosts together.

    python tether.py SPAN.json COMMAND...

SPAN.json: {"rank": 0, "hosts": [addresses, the leader's first], "port": 28000, "door": 8100}

vLLM's processes on several hosts find each other only at their start, and one that is left alone waits for ever while
it still says that it is healthy. So every host's main process is this one. The leader (rank 0) listens at its address
on `port`. Everybody starts COMMAND once all have come, and kills it as soon as one of them is gone or silent: each then
starts anew, by its supervisor, and they meet again. SIGTERM goes on to COMMAND, whose end is this one's.

The leader's engine alone speaks HTTP. On the other hosts this program takes connections at 127.0.0.1:`door`, where the
engine would, and leads them to the leader's.
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
# Long enough for a host whose processors are all busy, short against the minutes that a new start takes.
SILENCE = 15.0
PIECE = 65536
SIOCGIFADDR = 0x8915

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter


class Lost(Exception):
    """A host of the replica is gone, in words."""


async def main(span: dict[str, Any], command: list[str]) -> int:
    """Run `command` for as long as all hosts are there; return its exit status, 1 where one was lost."""
    part = lead if span["rank"] == 0 else follow
    environment = {**own_interface(span["hosts"][span["rank"]]), **os.environ}
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    together: asyncio.Future[None] = loop.create_future()
    hold = asyncio.ensure_future(part(span, together))
    stop = asyncio.ensure_future(stopped.wait())
    try:
        await first_of(hold, together, stop)
        if stop.done() or hold.done():
            return parted(hold)
        tell("all hosts of the replica are there; it starts")
        engine = await asyncio.create_subprocess_exec(*command, env=environment)
        ended = asyncio.ensure_future(engine.wait())
        await first_of(hold, ended, stop)
        status = 0
        if stop.done():
            # The others may go at the same time: what runs here still ends in its own way.
            end(engine, signal.SIGTERM)
        elif not ended.done():
            status = parted(hold)
            end(engine, signal.SIGKILL)
        return status or await ended
    finally:
        hold.cancel()
        stop.cancel()


async def first_of(*futures: asyncio.Future[Any]) -> None:
    """Return once one of them is done."""
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


def end(engine: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Send the engine a signal, if it still runs."""
    with contextlib.suppress(ProcessLookupError):
        engine.send_signal(number)


def parted(hold: asyncio.Future[None]) -> int:
    """Return the exit status after the hosts parted, 0 where they did not, and say why they did."""
    if not hold.done():
        return 0
    error = hold.exception()
    tell(f"the replica ends here: {error}")
    return 1


async def lead(span: dict[str, Any], together: asyncio.Future[None]) -> None:
    """Take the others' connections; raises Lost once one that had come is gone."""
    hosts, here = span["hosts"], {}
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def come(reader: Reader, writer: Writer) -> None:
        peer = writer.get_extra_info("peername")[0]
        try:
            if peer not in hosts[1:]:
                return
            word = (
                (await asyncio.wait_for(reader.readline(), SILENCE))
                .decode(errors="replace")
                .strip()
            )
            if word == "door":
                await pass_on(reader, writer, ("127.0.0.1", span["door"]))
            elif word == "member" and peer not in here:
                here[peer] = writer
                tell(f"{peer} has come, {len(hosts) - 1 - len(here)} are missing")
                if len(here) == len(hosts) - 1 and not together.done():
                    together.set_result(None)
                    for each in here.values():
                        each.write(b"start\n")
                await beat(reader, writer, peer)
        except Lost as error:
            del here[peer]
            # Before the start nothing is lost: it may come again.
            if together.done() and not lost.done():
                lost.set_exception(error)
        except OSError:
            pass
        finally:
            await close(writer)

    server = await asyncio.start_server(come, hosts[0], span["port"])
    async with server:
        await lost


async def follow(span: dict[str, Any], together: asyncio.Future[None]) -> None:
    """Come to the leader and lead requests there; raises Lost once it is gone after the start."""
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
            # The leader is not there yet, or still has the connection of this host's former start.
            await asyncio.sleep(BEAT)


async def beat(
    reader: Reader, writer: Writer, who: str, heard: Callable[[bytes], None] = lambda line: None
) -> None:
    """Write and read a line each second; raises Lost where the other end closed or was silent."""

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
    except TimeoutError:
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
    """Lead a connection to the address `to`, both ways, until that side has said all."""
    further, back = await asyncio.open_connection(*to, local_addr=own)
    asking = asyncio.ensure_future(ask(reader, back, first))
    try:
        await copy(further, writer)
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await close(back)


async def ask(reader: Reader, back: Writer, first: bytes) -> None:
    """Write on a client's requests; one that has said all may still wait for its answer."""
    back.write(first)
    await copy(reader, back)
    back.write_eof()


async def copy(reader: Reader, writer: Writer) -> None:
    """Write on what is read, at the pace of the slower side."""
    while piece := await reader.read(PIECE):
        writer.write(piece)
        await writer.drain()


async def close(writer: Writer) -> None:
    """Close a connection, whatever became of it."""
    writer.close()
    with contextlib.suppress(OSError, asyncio.CancelledError):
        await writer.wait_closed()


def own_interface(address: str) -> dict[str, str]:
    """Return the variables that tell collective libraries which interface has `address`.

    Left alone, gloo takes the one that the host's own name leads to, which is often loopback.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            with contextlib.suppress(OSError):
                found = fcntl.ioctl(probe.fileno(), SIOCGIFADDR, request)[20:24]
                if socket.inet_ntoa(found) == address:
                    # NCCL takes a name for the beginning of one, unless it is told not to.
                    return {"GLOO_SOCKET_IFNAME": name, "NCCL_SOCKET_IFNAME": f"={name}"}
    return {}


def tell(text: str) -> None:
    """Say it in the replica's log."""
    sys.stdout.write(f"tether: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        sys.exit(asyncio.run(main(json.load(file), sys.argv[2:])))
