"""The router's files, to the letter."""

from __future__ import annotations

from pathlib import Path

from tests.planning.rendered import render_files
from toolkit.hostside import routes_file
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target

EMPTY = Path(__file__).parents[2] / "playbooks/roles/router/files/empty"

ROUTES = with_model(
    with_model(
        Routes(),
        "tiny",
        (Target("blue", 8100, 0, standby=True), Target("green", 8101, 100)),
        created=1700000000,
    ),
    "team/big",
    (Target("blue", 8200, 90),),
    created=1800000000,
)


def _drawing(model: str, *names: str) -> str:
    return (
        "    http-request set-var(txn.draw) rand(10000)"
        f" if !{{ stopping }} {{ str({model}),map_str_int(shares.map) gt 0 }}\n"
    ) + "".join(
        f"    http-request set-var(txn.canary) str({name}) if {{ var(txn.draw) -m found }}"
        " !{ var(txn.canary) -m found }"
        f" {{ str({model}:{name}),map_str_int(shares.map),sub(txn.draw) gt 0 }}\n"
        for name in names
    )


def _exposed(model: str, slot: str, port: int) -> str:
    """Return the backend through which Prometheus reads a replica of this host."""
    return (
        f"\nbackend metrics:{model}:{slot}\n"
        "    timeout connect 1s\n"
        "    timeout server 10s\n"
        "    retries 0\n"
        "    http-request set-uri /metrics\n"
        f"    server {slot} 127.0.0.1:{port} no-check\n"
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
            "    option allbackups\n"
            "    timeout connect 500ms\n"
            "    http-response del-header x-toolkit- -m beg\n"
            f"{_drawing('team/big', 'blue')}"
            "    use-server %[var(txn.slot)] if { var(txn.slot) -m found }\n"
            "    use-server %[var(txn.canary)] if { var(txn.canary) -m found }\n"
            "    force-persist if { stopping }\n"
            "    server blue 127.0.0.1:8200 weight 90 observe layer4 error-limit 1 on-error mark-down\n"
            "    server standby:blue 127.0.0.1:8200 weight 0 backup no-check track model.team:big/blue\n"
            f"{_exposed('team:big', 'blue', 8200)}"
            "\n"
            "backend model.tiny\n"
            "    option allbackups\n"
            "    timeout connect 500ms\n"
            "    http-response del-header x-toolkit- -m beg\n"
            f"{_drawing('tiny', 'blue', 'green')}"
            "    use-server %[var(txn.slot)] if { var(txn.slot) -m found }\n"
            "    use-server %[var(txn.canary)] if { var(txn.canary) -m found }\n"
            "    force-persist if { stopping }\n"
            "    server blue 127.0.0.1:8100 weight 0 observe layer4 error-limit 1 on-error mark-down\n"
            "    server standby:blue 127.0.0.1:8100 weight 100 backup no-check track model.tiny/blue\n"
            "    server green 127.0.0.1:8101 weight 100 observe layer4 error-limit 1 on-error mark-down\n"
            "    server standby:green 127.0.0.1:8101 weight 0 backup no-check track model.tiny/green\n"
            f"{_exposed('tiny', 'blue', 8100)}{_exposed('tiny', 'green', 8101)}"
        ),
        "aliases.map": "",
        "kinds.map": "",
        "models.map": "team/big model.team:big\ntiny model.tiny\n",
        "models-described.map": (
            'team/big {"id":"team/big","object":"model","created":1800000000,"owned_by":"toolkit","root":"team/big"}\n'
            'tiny {"id":"tiny","object":"model","created":1700000000,"owned_by":"toolkit","root":"tiny"}\n'
        ),
        "slots.map": "team/big blue\ntiny green\n",
        "shares.map": "",
        "holds.map": "",
        "asleep.map": "",
        "relay.map": "",
        "models.json": (
            '{"object":"list","data":['
            '{"id":"team/big","object":"model","created":1800000000,"owned_by":"toolkit","root":"team/big"},'
            '{"id":"tiny","object":"model","created":1700000000,"owned_by":"toolkit","root":"tiny"}]}\n'
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
        "    http-check disable-on-404\n"
        "    retry-on conn-failure 425\n"
        ".if defined(TOOLKIT_WITHOUT_REPLICA)\n"
        "    http-response lua.without_replica if { status 425 } !{ stopping }\n"
        ".endif\n"
        "    http-response set-status 503 if { status 425 }\n"
        "    option srvtcpka\n"
        "    srvtcpka-idle 1s\n"
        "    srvtcpka-intvl 1s\n"
        "    srvtcpka-cnt 2\n"
        "    http-send-name-header X-Toolkit-Target\n"
        "    http-request set-header X-Toolkit-Model team/big\n"
        "    http-check send meth GET uri /health"
        " hdr X-Toolkit-Target %[srv_name] hdr X-Toolkit-Model team/big\n"
        "    http-check expect status 200,299\n"
        "    option allbackups\n"
        "    timeout connect 500ms\n"
        "    http-response del-header x-toolkit- -m beg if { srv_name,regsub(^standby:,) -m str gpu2.blue }\n"
        f"{_drawing('team/big', 'gpu1.blue', 'gpu2.blue')}"
        "    http-request set-var(txn.indicator) str(up.team:big:),concat(,txn.canary)"
        " if { var(txn.canary) -m found }\n"
        "    http-request unset-var(txn.canary)"
        " if { var(txn.canary) -m found } { var(txn.indicator),nbsrv eq 0 }\n"
        "    use-server %[var(txn.slot)] if { var(txn.slot) -m found }\n"
        "    use-server %[var(txn.canary)] if { var(txn.canary) -m found }\n"
        "    force-persist if { stopping }\n"
        "    server gpu1.blue 10.0.0.1:8090 weight 100"
        ' check inter "${TOOLKIT_CHECKS_EACH-400ms}" fastinter 200ms fall 2'
        " on-marked-down shutdown-sessions tcp-ut 1900ms\n"
        "    server standby:gpu1.blue 10.0.0.1:8090 weight 0"
        " on-marked-down shutdown-sessions tcp-ut 1900ms backup"
        " no-check track model.team:big/gpu1.blue\n"
        "    server gpu2.blue 127.0.0.1:8100 weight 100"
        " check inter 400ms fastinter 200ms fall 2 addr 127.0.0.1 port 8090"
        " observe layer4 error-limit 1 on-error mark-down\n"
        "    server standby:gpu2.blue 127.0.0.1:8100 weight 0 backup"
        " no-check track model.team:big/gpu2.blue\n"
        "\n"
        "backend relay.blue.model.team:big\n"
        "    retries 0\n"
        "    http-response del-header x-toolkit- -m beg\n"
        "    server gpu2.blue 127.0.0.1:8100 observe layer4 error-limit 1 on-error mark-down\n"
        "\n"
        "backend up.team:big:gpu1.blue\n"
        "    http-check disable-on-404\n"
        "    server gpu1.blue 10.0.0.1:8090 no-check track model.team:big/gpu1.blue\n"
        "\n"
        "backend up.team:big:gpu2.blue\n"
        "    http-check disable-on-404\n"
        "    server gpu2.blue 127.0.0.1:8100 no-check track model.team:big/gpu2.blue\n"
        f"{_exposed('team:big', 'blue', 8100)}"
    )
    assert files["relay.map"] == (
        "gpu2.blue/team/big relay.blue.model.team:big\n"
        "standby:gpu2.blue/team/big relay.blue.model.team:big\n"
    )
    assert files["slots.map"] == "team/big gpu2.blue\n"
    assert render_files(routes, at="gpu1")["slots.map"] == "team/big gpu1.blue\n"
    assert files["routes.json"].startswith('{\n  "at": "gpu2",\n  "serial": 7,\n')


def test_shares_are_bounds_of_a_draw_one_after_the_other() -> None:
    targets = tuple(
        Target(slot, 8100 + number, weight, host, "10.0.0.1:8090", share=share)
        for number, (host, slot, weight, share) in enumerate(
            [
                ("a", "blue", 100, 0),
                ("a", "green", 0, 150),
                ("b", "blue", 0, 0),
                ("b", "green", 0, 50),
            ]
        )
    )
    routes = with_model(ROUTES, "team/big", targets, created=1)
    files = render_files(routes, "a")
    assert files["shares.map"] == "team/big 200\nteam/big:a.green 150\nteam/big:b.green 200\n"
    # the host's side brings running workers to the same
    told = "".join(
        f"{key} {value}\n" for key, value in routes_file.shares(routes.as_json("a")).items()
    )
    assert sorted(told.splitlines()) == sorted(files["shares.map"].splitlines())


def test_what_the_role_starts_with_is_no_routes() -> None:
    # These are not the routes': the keys start with an open door, and nothing is used up, withdrawn or known.
    others = dict.fromkeys(
        (
            "quotas.map",
            "versions.map",
            "withdrawn.map",
            "releases.map",
            "doubted.map",
            "uploads.map",
        ),
        "",
    )
    others["keys.map"] = "door open\n"
    assert {path.name: path.read_text() for path in EMPTY.iterdir()} == {
        **render_files(Routes()),
        **others,
    }
