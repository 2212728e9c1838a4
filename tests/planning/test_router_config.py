"""The router's files, to the letter."""

from __future__ import annotations

from pathlib import Path

from toolkit.planning.router_config import render_files
from toolkit.planning.routes import Routes, Target, with_model

EMPTY = Path(__file__).parents[2] / "playbooks/roles/router/files/empty"

ROUTES = with_model(
    with_model(
        Routes(), "tiny", (Target("blue", 8100, 0), Target("green", 8101, 100)), created=1700000000
    ),
    "team/big",
    (Target("blue", 8200, 90),),
    created=1800000000,
)


def test_files_of_two_models() -> None:
    files = render_files(ROUTES)
    assert files.pop("routes.json").startswith(
        '{\n  "routes": [\n    {\n      "model": "team/big",'
    )
    assert files == {
        "backends.cfg": (
            "# Written by the toolkit from routes.json; the router's base is haproxy.cfg.\n"
            "\n"
            "backend model.team:big\n"
            "    use-server %[var(txn.slot)] if { var(txn.slot) -m found }\n"
            "    force-persist if { stopping }\n"
            "    server blue 127.0.0.1:8200 weight 90\n"
            "\n"
            "backend model.tiny\n"
            "    use-server %[var(txn.slot)] if { var(txn.slot) -m found }\n"
            "    force-persist if { stopping }\n"
            "    server blue 127.0.0.1:8100 weight 0\n"
            "    server green 127.0.0.1:8101 weight 100\n"
        ),
        "models.map": "team/big model.team:big\ntiny model.tiny\n",
        "models-described.map": (
            'team/big {"id":"team/big","object":"model","created":1800000000,"owned_by":"toolkit"}\n'
            'tiny {"id":"tiny","object":"model","created":1700000000,"owned_by":"toolkit"}\n'
        ),
        "slots.map": "team/big blue\ntiny green\n",
        "models.json": (
            '{"object":"list","data":['
            '{"id":"team/big","object":"model","created":1800000000,"owned_by":"toolkit"},'
            '{"id":"tiny","object":"model","created":1700000000,"owned_by":"toolkit"}]}\n'
        ),
    }


def test_what_the_role_starts_with_is_no_routes() -> None:
    assert {path.name: path.read_text() for path in EMPTY.iterdir()} == render_files(Routes())
