"""The lines of a backend by which a router hands requests to the routers of other hosts, and asks for their health."""

from __future__ import annotations

from toolkit.planning.routing.routes import Target

# The path at which a relay tells the health of its targets, see the frontend `relay` of the role `router`. It is the
# routers' own and leads to no engine.
_RELAY_HEALTH = "/health"


def handing_on(model: str) -> str:
    """Name target and model to the router of the target's host, for requests and for checks alike.

    That router answers 404 for a target that must get nothing new, and 425 for a request that it handed to no replica:
    this router sends such a request to another host if it still has all of it, which is one that fits into a buffer.
    A target that no other host could stand in for gets nothing new until its host's next answer: a standby takes over.
    A host that died answers nothing: checks and keep-alives cut its requests within two seconds.
    """
    return (
        "    timeout check 500ms\n"
        "    http-check disable-on-404\n"
        "    retry-on conn-failure 425\n"
        ".if defined(TOOLKIT_WITHOUT_REPLICA)\n"
        "    http-response lua.without_replica if { status 425 } !{ stopping }\n"
        ".endif\n"
        # An answer of this router's own would cut a client off that still sends its body.
        "    http-response set-status 503 if { status 425 }\n"
        "    option srvtcpka\n"
        "    srvtcpka-idle 1s\n"
        "    srvtcpka-intvl 1s\n"
        "    srvtcpka-cnt 2\n"
        "    http-send-name-header X-Toolkit-Target\n"
        f"    http-request set-header X-Toolkit-Model {model}\n"
        f"    http-check send meth GET uri {_RELAY_HEALTH}"
        f" hdr X-Toolkit-Target %[srv_name] hdr X-Toolkit-Model {model}\n"
        # 299: the target was withdrawn, and the slot beside it takes its requests.
        "    http-check expect status 200,299\n"
    )


def relay_check(target: Target, at: str) -> str:
    """Check the router of the target's host, not its engine.

    A dead host must leave the rotation within two seconds, a busy engine must stay in it. Routers answer at once, from
    their own checks with longer timeouts.
    """
    rest = "fastinter 200ms fall 2"
    if target.host != at:
        # A base that asks hosts in place of targets, see healths.lua, says how seldom HAProxy itself has to check.
        return f' check inter "${{TOOLKIT_CHECKS_EACH-400ms}}" {rest}'
    port = target.relay.rpartition(":")[2]
    return f" check inter 400ms {rest} addr 127.0.0.1 port {port}"
