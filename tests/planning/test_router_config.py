"""The router's files, to the letter."""

from __future__ import annotations

from pathlib import Path

from toolkit.planning.routing.files import render_files
from toolkit.planning.routing.routes import Routes, Target, with_model

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
        '{\n  "at": "",\n  "serial": 0,\n  "routes": [\n    {\n      "model": "team/big",'
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
        "relay.map": "",
        "models.json": (
            '{"object":"list","data":['
            '{"id":"team/big","object":"model","created":1800000000,"owned_by":"toolkit"},'
            '{"id":"tiny","object":"model","created":1700000000,"owned_by":"toolkit"}]}\n'
        ),
    }


def test_files_of_a_host_among_several() -> None:
    targets = (
        Target("blue", 8100, 100, "gpu1", "10.0.0.1:8090"),
        Target("blue", 8100, 100, "gpu2", "10.0.0.2:8090"),
    )
    routes = with_model(Routes(serial=7), "team/big", targets, created=1800000000)
    files = render_files(routes, at="gpu2")
    assert files["backends.cfg"] == (
        "# Written by the toolkit from routes.json; the router's base is haproxy.cfg.\n"
        "\n"
        "backend model.team:big\n"
        "    balance leastconn\n"
        "    timeout check 500ms\n"
        "    option srvtcpka\n"
        "    srvtcpka-idle 10s\n"
        "    srvtcpka-intvl 5s\n"
        "    srvtcpka-cnt 3\n"
        "    http-send-name-header X-Toolkit-Target\n"
        "    http-request set-header X-Toolkit-Model team/big\n"
        "    http-check send meth GET uri /health"
        " hdr X-Toolkit-Target %[srv_name] hdr X-Toolkit-Model team/big\n"
        "    use-server %[var(txn.slot)] if { var(txn.slot) -m found }\n"
        "    force-persist if { stopping }\n"
        "    server gpu1.blue 10.0.0.1:8090 weight 100 check inter 400ms fastinter 200ms fall 2\n"
        "    server gpu2.blue 127.0.0.1:8100 weight 100"
        " check inter 400ms fastinter 200ms fall 2 addr 127.0.0.1 port 8090\n"
        "\n"
        "backend relay.blue.model.team:big\n"
        "    server gpu2.blue 127.0.0.1:8100\n"
    )
    assert files["relay.map"] == "gpu2.blue/team/big relay.blue.model.team:big\n"
    assert files["slots.map"] == "team/big gpu2.blue\n"
    assert render_files(routes, at="gpu1")["slots.map"] == "team/big gpu1.blue\n"
    assert files["routes.json"].startswith('{\n  "at": "gpu2",\n  "serial": 7,\n')


def test_what_the_role_starts_with_is_no_routes() -> None:
    # these two are not the routes': the keys start with an open door
    others = {"keys.map": "door open\n", "versions.map": ""}
    assert {path.name: path.read_text() for path in EMPTY.iterdir()} == {
        **render_files(Routes()),
        **others,
    }
