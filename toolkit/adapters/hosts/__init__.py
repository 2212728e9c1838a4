"""A host, directly or over SSH: observe it, ask it, switch its router."""
