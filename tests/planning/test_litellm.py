"""LiteLLM's configuration: what stands in it, and that nothing inside stands beside a closed model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.planning.facts import release, version
from toolkit.domain.files.capabilities import Capabilities
from toolkit.domain.gates.kind import Kind
from toolkit.domain.registry.model import Model
from toolkit.errors import InputError
from toolkit.planning.gateway.litellm import Served, litellm_config, served_names, with_owners

ROUTERS = ("https://gpu1:8080/v1", "https://gpu2:8080/v1")
CHAT = Served("qwen", "qwen", Kind.CHAT, 8192)
ALIAS = Served("Qwen/Qwen2.5", "qwen", Kind.CHAT, 8192)
VECTORS = Served("bge", "bge", Kind.EMBEDDING)
CLOSED = "openai/gpt-6-luna"


def names(config: Any) -> list[str]:
    return [each["model_name"] for each in config["model_list"]]


def test_each_name_stands_once_for_each_router() -> None:
    found = litellm_config([CHAT, VECTORS], ROUTERS, {}, frozenset())
    assert found.config["model_list"][:2] == [
        {
            "model_name": "qwen",
            "litellm_params": {
                "model": "hosted_vllm/qwen",
                "api_base": router,
                "api_key": "os.environ/TOOLKIT_KEY",
            },
            "model_info": {"mode": "chat", "max_input_tokens": 8192},
        }
        for router in ROUTERS
    ]
    assert found.config["model_list"][2]["model_info"] == {"mode": "embedding"}
    assert found.config["router_settings"]["fallbacks"] == []
    assert found.variables == ("TOOLKIT_KEY", "LITELLM_MASTER_KEY")


def test_a_closed_model_comes_last_and_only_where_it_is_named() -> None:
    found = litellm_config([CHAT, VECTORS], ROUTERS[:1], {"qwen": CLOSED}, frozenset())
    assert names(found.config) == ["qwen", "bge", CLOSED]
    assert found.config["model_list"][-1]["litellm_params"] == {
        "model": CLOSED,
        "api_key": "os.environ/OPENAI_API_KEY",
    }
    assert found.config["router_settings"]["fallbacks"] == [{"qwen": [CLOSED]}]
    assert found.variables[-1] == "OPENAI_API_KEY"


def test_one_closed_model_for_two_names_stands_once() -> None:
    closed = {"qwen": CLOSED, "bge": CLOSED}
    found = litellm_config([CHAT, VECTORS], ROUTERS[:1], closed, frozenset())
    assert names(found.config).count(CLOSED) == 1


@pytest.mark.parametrize(
    ("closed", "only_inside", "listed", "left_out"),
    [
        ({}, False, ["qwen", "Qwen/Qwen2.5", "bge"], ()),
        ({}, True, ["qwen", "Qwen/Qwen2.5", "bge"], ()),
        # all names of a model inside are left out, whichever of them clients use
        ({"bge": CLOSED}, False, ["bge", CLOSED], ("qwen",)),
    ],
)
def test_a_model_inside_stands_in_no_file_with_a_closed_one(
    closed: dict[str, str], only_inside: bool, listed: list[str], left_out: tuple[str, ...]
) -> None:
    served = [CHAT, ALIAS, VECTORS]
    found = litellm_config(
        served, ROUTERS[:1], closed, frozenset({"qwen"}), only_inside=only_inside
    )
    assert (names(found.config), found.left_out) == (listed, left_out)


@pytest.mark.parametrize(
    ("closed", "only_inside", "words"),
    [
        ({"qwen": CLOSED}, False, "marked `inside`"),
        ({"Qwen/Qwen2.5": CLOSED}, False, "marked `inside`"),
        ({"none": CLOSED}, False, "serves no 'none'"),
        ({"bge": "gpt-6-luna"}, False, "PROVIDER/NAME"),
        ({"bge": "/gpt-6-luna"}, False, "PROVIDER/NAME"),
        ({"bge": "open ai/gpt-6-luna"}, False, "PROVIDER/NAME"),
        ({"bge": "openai/gpt-6 luna\n"}, False, "PROVIDER/NAME"),
        # LiteLLM spreads requests for a name over all that has it.
        ({"bge": "Qwen/Qwen2.5"}, False, "Qwen/Qwen2.5 is a name of the fleet's own qwen"),
        ({"bge": CLOSED}, True, "--closed is refused"),
    ],
)
def test_what_would_lead_outside_is_refused(
    closed: dict[str, str], only_inside: bool, words: str
) -> None:
    served = [CHAT, ALIAS, VECTORS]
    with pytest.raises(InputError) as raised:
        litellm_config(served, ROUTERS, closed, frozenset({"qwen"}), only_inside=only_inside)
    assert words in raised.value.message


def test_the_names_of_what_serves_are_those_of_models_aliases_and_adapters() -> None:
    does = Capabilities(Kind.CHAT, context=4096)
    served = served_names(
        [
            replace(release(1), model="qwen", aliases=("old",), does=does),
            replace(release(1), model="bge"),
        ]
    )
    assert served == (
        Served("bge", "bge"),
        Served("old", "qwen", Kind.CHAT, 4096),
        Served("qwen", "qwen", Kind.CHAT, 4096),
    )


def test_a_name_of_two_models_is_inside_where_one_of_them_is() -> None:
    open_one = replace(release(1), model="pub", aliases=("chat",))
    own = replace(release(1), model="sec", aliases=("chat",))
    served = served_names([open_one, own])
    assert [(each.name, each.model) for each in served] == [
        ("chat", "pub"), ("chat", "sec"), ("pub", "pub"), ("sec", "sec"),
    ]  # fmt: skip
    found = litellm_config(served, ROUTERS[:1], {"pub": CLOSED}, frozenset({"sec"}))
    assert (names(found.config), found.left_out) == (["pub", CLOSED], ("sec",))
    with pytest.raises(InputError, match="sec is marked `inside`"):
        litellm_config(served, ROUTERS, {"chat": CLOSED}, frozenset({"sec"}))
    # Without a closed model nothing is left out, and a name stands once for each router.
    assert names(litellm_config(served, ROUTERS[:1], {}, frozenset({"sec"})).config) == [
        "chat", "pub", "sec",
    ]  # fmt: skip


def test_a_model_that_the_registry_does_not_have_stands_beside_no_closed_model() -> None:
    unknown = frozenset({"bge"})
    served = [CHAT, VECTORS]
    found = litellm_config(served, ROUTERS[:1], {"qwen": CLOSED}, frozenset(), unknown=unknown)
    assert (names(found.config), found.left_out, found.unknown) == (
        ["qwen", CLOSED], (), ("bge",),
    )  # fmt: skip
    with pytest.raises(InputError, match="the registry does not have bge"):
        litellm_config(served, ROUTERS, {"bge": CLOSED}, frozenset(), unknown=unknown)
    assert names(litellm_config(served, ROUTERS[:1], {}, frozenset(), unknown=unknown).config) == [
        "qwen", "bge",
    ]  # fmt: skip


def test_a_name_that_the_registry_gives_to_another_model_is_that_one_s_too() -> None:
    served = (Served("chat", "pub", Kind.CHAT), Served("pub", "pub", Kind.CHAT))
    models = [
        Model("pub", "", (version(),)),
        Model("sec", "", (version(), version(aliases=("chat",)))),
        Model("off", "", (version(aliases=("other",)),)),
    ]
    found = with_owners(served, models)
    assert found == (*served, Served("chat", "sec"))
    with pytest.raises(InputError, match="sec is marked `inside`"):
        litellm_config(found, ROUTERS, {"chat": CLOSED}, frozenset({"sec"}))
    beside = litellm_config(found, ROUTERS[:1], {"pub": CLOSED}, frozenset({"sec"}))
    assert (names(beside.config), beside.left_out) == (["pub", CLOSED], ("sec",))
    # Without a closed model the file has what serves, as it is.
    alone = litellm_config(found, ROUTERS[:1], {}, frozenset({"sec"}))
    assert alone.config == litellm_config(served, ROUTERS[:1], {}, frozenset()).config
