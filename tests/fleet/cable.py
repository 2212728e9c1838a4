"""What connects a host to the bridge: it can be pulled out, and made narrow."""

from __future__ import annotations

from contextlib import suppress

from tests.fleet.network import Network, ip, shape


class Cable:
    """One host's link, between its eth0 and the bridge."""

    def __init__(self, network: Network, address: str) -> None:
        self._network, self._address = network, address
        self._end, self._pid, self._rate = "", 0, ""

    def plug_in(self, pid: int) -> None:
        """Lead from the network namespace of `pid` to the bridge, as wide as the host's former cable."""
        self._end, self._pid = f"tk{pid}", pid
        # A new one after each boot would be unknown to whoever remembers the former.
        hardware = "02:00:" + ":".join(f"{int(part):02x}" for part in self._address.split("."))
        eth0 = ["name", "eth0", "address", hardware, "netns", str(pid)]
        ip("link", "add", self._end, "type", "veth", "peer", *eth0)
        ip("link", "set", self._end, "master", self._network.bridge, "up")
        ip("link", "set", "lo", "up", inside=pid)
        ip("addr", "add", f"{self._address}/24", "dev", "eth0", inside=pid)
        ip("link", "set", "eth0", "up", inside=pid)
        self.limit(self._rate)

    def unplug(self) -> None:
        """Take the cable away for good."""
        if self._end:
            # It goes with the host's namespace as well.
            with suppress(RuntimeError):
                ip("link", "del", self._end)
        self._end, self._pid = "", 0

    def cut(self) -> None:
        """Let nothing through any more, without a word to either side."""
        ip("link", "set", self._end, "down")

    def mend(self) -> None:
        """Let through again what `cut` has stopped."""
        ip("link", "set", self._end, "up")

    def limit(self, rate: str) -> None:
        """Let at most `rate` through in each direction, in tc's words: `200mbit`; no limit where it is empty."""
        self._rate = rate
        if self._end:
            shape(self._end, rate)
            shape("eth0", rate, inside=self._pid)
