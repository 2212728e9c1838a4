"""The protections of a host that a change can turn off: a table alone, which the options of commands name."""

from __future__ import annotations

# The protections that a change of settings can turn off, as `--turn-off` names them, with what then holds.
PROTECTIONS = {
    "tls": "keys, prompts and answers cross the network readable",
    "keys": "whoever reaches the router can use every model",
    "loopback": "other machines reach the router, which asks for no key",
    "firewall": "all ports of the host are open",
    "origins": "pages of any origin, opened in a browser that reaches the router, may use it and read the answers",
    "fence": "replicas that the host cannot confine serve other machines",
    "swarm-tls": "transfers between hosts are not encrypted",
}
