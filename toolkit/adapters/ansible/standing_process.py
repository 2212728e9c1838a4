"""The process that has Ansible loaded. Standard input is a socket; each message on it has the descriptors of one run.

It forks for each run, before any thread exists, and knows nothing of a run: so runs cannot meet. It ends when its
socket closes, as it does when the toolkit's command is killed; each run notices the same on its own.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import socket
import sys
from pathlib import Path

from toolkit.adapters.ansible import ansible_playbook, child


def main() -> None:
    """Load Ansible, then fork for each run until the socket closes."""
    # It is for this process alone.
    del os.environ["PYTHONPATH"]
    place = Path(sys.argv[1])
    link = socket.socket(fileno=os.dup(0))
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    # The working directory may have a configuration of Ansible's that is not meant for the toolkit.
    here = os.open(".", os.O_RDONLY)
    os.chdir(place)
    ansible_playbook.load(child.ansible_settings(place))
    os.fchdir(here)
    os.close(here)
    shutil.rmtree(place, ignore_errors=True)
    # Nothing loaded is ever garbage, and looking at it would copy its pages into each fork.
    gc.collect()
    gc.freeze()
    # The kernel then forgets runs that have ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, descriptors, *_ = socket.recv_fds(link, 16, 3)
        if not message:
            os._exit(0)
        if os.fork() == 0:
            link.close()
            _become_run(descriptors)
        for each in descriptors:
            os.close(each)


def _become_run(descriptors: list[int]) -> None:
    """Run the playbook of a request on standard input, and end this process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    for standard, given in enumerate(descriptors):
        os.dup2(given, standard)
        os.close(given)
    ansible_playbook.end_with(child.main)


if __name__ == "__main__":
    main()
