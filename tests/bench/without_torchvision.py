"""The architectures that vLLM cannot load where torchvision is not installed: run it with an engine's own Python.

    ENGINE/bin/python tests/bench/without_torchvision.py

It imports the module of every model, which takes a minute, and prints what `vllm_torchvision.py` lists.
"""

from __future__ import annotations

import importlib
import os
import sys
import textwrap

# An import of it fails as it does where it is not installed.
sys.modules["torchvision"] = None  # type: ignore[assignment]
os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"


def main() -> None:
    from vllm.model_executor.models import registry

    places: dict[str, str] = {}
    for name, table in vars(registry).items():
        if name.startswith("_") and name.endswith("_MODELS") and isinstance(table, dict):
            places |= {key: place[0] for key, place in table.items() if isinstance(place, tuple)}
    lacking = {module: is_lacking(module) for module in set(places.values())}
    found = sorted(name for name, module in places.items() if lacking[module])
    print(textwrap.fill(" ".join(found), 110))


def is_lacking(module: str) -> bool:
    """Whether the import of a model's module ends because of torchvision, and not for another reason."""
    place = module if module.startswith("vllm.") else f"vllm.model_executor.models.{module}"
    try:
        importlib.import_module(place)
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and "torchvision" not in str(cause):
            cause = cause.__cause__ or cause.__context__
        return cause is not None
    return False


if __name__ == "__main__":
    main()
