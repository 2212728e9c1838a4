"""An endpoint: a router, or a closed API, as its clients reach it."""
