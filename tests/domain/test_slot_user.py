"""The names of the users and of the group that replicas run as."""

from __future__ import annotations

import pytest

from toolkit.domain.hosts.fleet import LONGEST_NAME, Host


@pytest.mark.parametrize(
    ("user", "program", "expected"),
    [
        ("toolkit", "tiny-blue", "toolkit-tiny-blue"),
        ("models", "qwen-7b-green", "models-qwen-7b-green"),
        # characters and lengths that useradd or systemd refuse
        ("toolkit", "qwen2.5-7b-blue", "toolkit-c3ab6dbd8f"),
        ("toolkit", "Llama-blue", "toolkit-215e714dd8"),
        ("toolkit", "a-model-with-a-long-name-blue", "toolkit-c7b141a10c"),
    ],
)
def test_each_slot_has_a_user_of_its_own(user: str, program: str, expected: str) -> None:
    assert Host("box", user=user).slot_user(program) == expected


def test_names_differ_and_are_short_whatever_the_model_is_called() -> None:
    host = Host("box", user="u" * 32)
    programs = [
        f"{'m' * 40}{number}.x-{slot}" for number in range(20) for slot in ("blue", "green")
    ]
    names = {host.slot_user(program) for program in programs}
    assert len(names) == len(programs)
    assert max(map(len, (*names, host.models_group))) <= LONGEST_NAME
    assert host.models_group not in names
