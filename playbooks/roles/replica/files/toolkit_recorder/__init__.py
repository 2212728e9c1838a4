"""The recorder: writes what each request to an engine used, a line for each, beside the engine and in its process.

`toolkit_recorder.Recorder` is what an engine is told to put around its server (`--middleware`). Standard library only,
for Python 3.9 and later. It runs as the replica's user; root owns these files.

- `counting.py` decides, on values alone;
- `book.py` writes the lines;
- `states.py` knows the engine's own figures, and is the only one with the engine's names;
- `lines.py` puts a request's line into JSON;
- `use.py` is a request while it is answered;
- `anthropic.py` puts errors into the shape of Anthropic's API on its paths;
- `middleware.py` joins them around each request;
- `doze.py` puts the engine to sleep and wakes it, where root asks for it.
"""

from toolkit_recorder.middleware import Recorder

__all__ = ["Recorder"]
