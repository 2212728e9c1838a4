"""YAML as this project writes it: block style, in the order of the data, no line folded unless a width is given."""

from __future__ import annotations

import io
import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import SafeRepresenter

from toolkit.config.yaml_text import MAX_LINE

# Truths and numbers to the base 60 of YAML 1.1. LiteLLM and Ansible read that, and a model may be named `on` or `1:30`.
_OTHERWISE = re.compile(r"(?i:y|n|yes|no|on|off)|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")


class _Representer(SafeRepresenter):
    """Texts that YAML 1.1 reads as something else stand in quotes, as those of YAML 1.2 do."""

    def represent_str(self, data: Any) -> ScalarNode:
        node: ScalarNode = super().represent_str(data)
        if _OTHERWISE.fullmatch(data):
            node.style = "'"
        return node


_Representer.add_representer(str, _Representer.represent_str)


def dump_yaml(data: Any, *, indented: bool = True, width: int = MAX_LINE) -> str:
    """Return `data` as a YAML document; with `indented`, the items of a list stand two columns right of its name.

    Texts are folded after `width` characters of a line.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = _Representer
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
