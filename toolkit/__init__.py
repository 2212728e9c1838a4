"""Deploy open-weights models on your own hosts."""

__version__ = "0.1.0"
