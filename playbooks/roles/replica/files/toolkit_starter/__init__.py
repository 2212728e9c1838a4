"""The starter: loads an engine's modules once for all processes of a replica.

    python -m toolkit_starter COUNTS PROGRAM [ARGUMENT...]

An engine's server starts a core once it has loaded its modules and read its arguments, and the core then starts a
worker. Each of these processes loads the same modules anew, one after the other, which is most of a start on the CPU.
The starter loads them, forks the processes that the server will want, and then is the server. A forked process waits
until `multiprocessing` wants a process, and becomes it. COUNTS says how many wait, by generation: `1,1` is one for the
server, which has one of its own.

It runs as the replica's user; root owns these files. Standard library only.

- `engine.py` knows the modules to load, the environment to expect and how the engine looks at a model's class; the only
  one with the engine's names;
- `ahead.py` forks a process ahead, and makes it the one that `multiprocessing` wants to start;
- `ending.py` ends each of these processes;
- `__main__.py` joins them.
"""
