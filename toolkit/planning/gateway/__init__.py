"""Gateways of others before the fleet's routers: their configuration, from what the fleet serves."""
