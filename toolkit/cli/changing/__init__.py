"""The shared parts of commands that change a release or its hosts."""
