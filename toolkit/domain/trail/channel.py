"""The settings of notifications and hooks: the receivers of outcomes, and the programs to call."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.domain.trail.notice import Notice

# The commands whose outcome a channel tells unless its settings name others.
TOLD_COMMANDS = ("deploy", "upgrade", "rollback", "stop", "promote", "abort", "schedule run")
# All commands that have an outcome to tell: those that the audit log records.
RECORDED_COMMANDS = frozenset(
    (
        *TOLD_COMMANDS, "bundle load", "engine install", "engine lock", "gate run", "hosts drain", "hosts forget",
        "keys add", "keys open", "keys revoke", "keys sync", "metrics setup", "perimeter check", "prove", "provision",
        "prune", "registry accept", "registry pin", "repair", "schedule install", "schedule remove", "sleep", "update",
        "verify", "wake",
    )
)  # fmt: skip
# The commands around which hooks are called.
HOOK_COMMANDS = ("deploy", "upgrade", "rollback", "stop", "promote", "abort")


@dataclass(frozen=True, slots=True)
class SecretPlace:
    """The place of a secret, which is read when it is needed: an environment variable, or else a file."""

    variable: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A URL that gets a POST, as text or as the place of a secret. `text_only` is the form of Slack and Mattermost."""

    url: str | SecretPlace
    text_only: bool = False
    key: SecretPlace | None = None


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail by SMTP. `tls` is `starttls`, `tls` or `none`."""

    to: tuple[str, ...]
    sender: str
    server: str
    port: int
    tls: str = "starttls"
    user: str = ""
    password: SecretPlace | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """A URL of Apprise, which is a secret in most of its forms."""

    url: SecretPlace


Way = Webhook | Mail | Service


@dataclass(frozen=True, slots=True)
class Channel:
    """One way to tell people; `name` is how messages and the audit log call it.

    It tells the outcomes of `commands`: those that ended well where `done`, those that did not where `failed`.
    """

    name: str
    way: Way
    commands: tuple[str, ...] = TOLD_COMMANDS
    done: bool = True
    failed: bool = True

    def wants(self, notice: Notice) -> bool:
        """Whether the channel tells this outcome."""
        ended_well = self.done if notice.outcome == "done" else self.failed
        return ended_well and notice.command in self.commands


@dataclass(frozen=True, slots=True)
class Hook:
    """A program with its arguments that gets a plan as JSON, and the `seconds` that it may take."""

    run: tuple[str, ...]
    seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """All channels, and the hooks before and after a deployment."""

    channels: tuple[Channel, ...] = ()
    before: Hook | None = None
    after: Hook | None = None
