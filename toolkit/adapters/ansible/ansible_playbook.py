"""ansible-playbook in a fork of the process that has loaded it, with modules that former runs have built.

Ansible sends each module to a host as an archive with all that it imports. Building one takes a processor 0.2 s, and
Ansible keeps none from one run to the next.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from toolkit.adapters.ansible.bytecode import with_bytecode

KEPT = "TOOLKIT_KEPT_MODULES"
POLL_SECONDS = 0.005
# The plugins that the playbooks use. Ansible loads another one when it needs it.
_PLUGINS = {
    "action": ("normal", "command", "copy", "template", "assert", "include_tasks"),
    "become": ("sudo",),
    "cache": ("jsonfile",),
    "callback": ("default", "junit", "minimal", "oneline", "tree"),
    "connection": ("local", "ssh"),
    "inventory": ("host_list", "script", "auto", "yaml", "ini", "toml"),
    "lookup": ("file", "fileglob", "template"),
    "shell": ("sh",),
    "strategy": ("linear",),
}
# Where these lead elsewhere, modules change without the toolkit's knowledge.
_PLACES = ("DEFAULT_MODULE_PATH", "DEFAULT_MODULE_UTILS_PATH")


def load(settings: dict[str, str]) -> None:
    """Load what each run needs, with these settings of Ansible; ansible-runner forks from now on.

    It imports and reads documentation alone: what knows of a run would be in every run.
    """
    from ansible_runner import runner

    callbacks = Path(runner.__file__).parent / "display_callback" / "callback"
    # Ansible reads its settings when it is loaded. ansible-runner must not find them again, or it keeps them.
    before = dict(os.environ)
    os.environ["ANSIBLE_CALLBACK_PLUGINS"] = str(callbacks)
    os.environ["ANSIBLE_STDOUT_CALLBACK"] = "awx_display"
    os.environ.update(settings)
    _load_ansible()
    os.environ.clear()
    os.environ.update(before)

    class Forked(runner.pexpect.spawn):  # type: ignore[misc]
        """A terminal whose process runs the playbook where it would start a program."""

        def _spawnpty(self, args: list[bytes], **how: Any) -> Any:
            prepare, environment = how.pop("preexec_fn"), how["env"]
            words = [each.decode() for each in args[1:]]

            def run() -> None:
                prepare()
                end_with(lambda: run_playbook(words, environment))

            return super()._spawnpty(args, preexec_fn=run, **how)

    runner.pexpect.spawn = Forked


def _load_ansible() -> None:
    from ansible import constants
    from ansible.cli import playbook  # noqa: F401
    from ansible.executor import module_common, playbook_executor  # noqa: F401
    from ansible.plugins import loader

    with_bytecode(module_common)
    # The waiting process would look for results a thousand times a second.
    constants.set_constant("DEFAULT_INTERNAL_POLL_INTERVAL", POLL_SECONDS)
    loader.init_plugin_loader()
    # Each run does this as well, to no effect.
    warnings.filterwarnings("ignore", "AnsibleCollectionFinder has already been configured")
    for kind, names in _PLUGINS.items():
        for name in names:
            getattr(loader, f"{kind}_loader").get(name, class_only=True)


def run_playbook(words: Sequence[str], environment: dict[str, str]) -> None:
    """Run ansible-playbook with these words, in a process that is then its own; ends by SystemExit."""
    os.environ.clear()
    os.environ.update(environment)
    # A program that is started has these alone.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    sys.argv = ["ansible-playbook", *words]
    kept = os.environ.pop(KEPT, "")

    from ansible import constants
    from ansible.cli import playbook

    for name, definition in constants.config.get_configuration_definitions().items():
        if any(each["name"] in environment for each in definition.get("env") or ()):
            value = constants.config.get_config_value(name, variables=vars(constants))
            constants.set_constant(name, value)
    origins = [constants.config.get_config_value_and_origin(each)[1] for each in _PLACES]
    if kept and set(origins) == {"default"}:
        # Ansible looks for built modules there, builds what is absent under a lock, and removes the link at its end.
        Path(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache").symlink_to(kept)
    playbook.main()


def end_with(work: Callable[[], None]) -> NoReturn:
    """Do the work as the last of this process, a fork; its exit code is that of a program that did it."""
    code = 1
    try:
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        # Skip the exit handlers: the process that forked has registered them for its own end.
        os._exit(code)
