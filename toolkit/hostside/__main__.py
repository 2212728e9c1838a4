"""Run a command of the host's side of the toolkit, see `entry.py`.

    python3 -I toolkit/hostside/__main__.py COMMAND      (in the ops machine's package, or in a copy on a host)

Python compiles a file that it is told to run from its text, and so does this one with `loading.py`, by which all other
modules come.
"""

import os
import sys
from types import ModuleType

if __name__ == "__main__":
    loading = ModuleType("loading")
    loading.__file__ = os.path.join(os.path.dirname(os.path.abspath(__file__)), "loading.py")
    with open(loading.__file__, "rb") as file:
        exec(compile(file.read(), loading.__file__, "exec"), loading.__dict__)  # noqa: S102
    sys.modules["loading"] = loading
    loading.load_siblings()
    import entry

    sys.exit(entry.main())
