"""The door of a fleet: its routers, as a client reaches them."""
