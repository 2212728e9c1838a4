"""YAML as this project writes it: block style, in the order of the data, no line folded unless a width is given."""

from __future__ import annotations

import io
from typing import Any

from ruamel.yaml import YAML

from toolkit.config.yaml_text import MAX_LINE


def dump_yaml(data: Any, *, indented: bool = True, width: int = MAX_LINE) -> str:
    """Return `data` as a YAML document; with `indented`, the items of a list stand two columns right of its name.

    Texts are folded after `width` characters of a line.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.width = width
    # ruamel annotates this attribute as None alone.
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    if indented:
        yaml.indent(mapping=2, sequence=4, offset=2)
    text = io.StringIO()
    yaml.dump(data, text)
    return text.getvalue()
