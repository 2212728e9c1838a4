#!/usr/bin/python
"""Ansible module: install missing system packages, from the host's own sources or from a directory."""

from __future__ import annotations

DOCUMENTATION = r"""
module: system_packages
short_description: Install the system packages that are missing
description:
  - Looks for a file of each package, so that a host with the files needs no package source.
  - Needs only apt-get and dpkg, while the module C(apt) needs python3-apt even to check.
  - Does not start the services of a package, and switches the named ones off. A run that was cut off is completed.
options:
  packages:
    description: Packages that must be there.
    required: true
    type: list
    elements: dict
    suboptions:
      name:
        description: The package, as C(name) or C(name=version).
        required: true
        type: str
      path:
        description:
          - A file that proves that the host has it, from whatever source. Without one dpkg is asked.
          - A relative path is one of a header of the Python that runs this module, wherever that Python is.
        type: path
      unit:
        description: A service of the package that is switched off once this module has installed the package.
        type: str
  directory:
    description: A directory on the host with package files. If set, it is the only source.
    type: path
author: [the toolkit's authors]
"""

EXAMPLES = r"""
- name: Install HAProxy
  system_packages:
    packages:
      - name: haproxy
        path: /usr/sbin/haproxy
"""

RETURN = r"""
installed:
  description: Names of the packages that were, or in check mode would be, installed, by a run that was cut off as well.
  returned: always
  type: list
  elements: str
"""

import contextlib
import os
import sysconfig
import tempfile

from ansible.module_utils.basic import AnsibleModule

POLICY = "/usr/sbin/policy-rc.d"
# The names of the packages follow: another run completes what this one may have left undone.
MARK = "# The toolkit installs these packages, and removes this file:"
SYSTEMD = "/run/systemd/system"
INSTALL = (
    "install",
    "--yes",
    "--no-install-recommends",
    "--allow-change-held-packages",
    "--option=Dpkg::Options::=--force-confold",
)
# A "Packages" file is all that apt needs of a repository.
INDEX = (
    'cd "$1" && for each in *.deb; do dpkg-deb --field "$each" && '
    'echo "Filename: ./$each" && stat -c "Size: %s" "$each" && '
    'echo "SHA256: $(sha256sum "$each" | cut -d" " -f1)" && echo; done >"$2/Packages"'
)


def missing(module, packages):
    """Return the packages that are missing."""
    return [each for each in packages if not is_there(module, each)]


def is_there(module, package):
    """Return whether the package's file is there, or dpkg has the package in the wanted version."""
    if package["path"]:
        headers = sysconfig.get_path("include", "posix_prefix")
        return os.path.exists(os.path.join(headers, package["path"]))
    name, _, version = package["name"].partition("=")
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", name]
    code, shown, _ = module.run_command(query)
    state, _, found = shown.partition(" ")
    return code == 0 and state == "installed" and version in ("", found)


def left_behind():
    """Return the packages of a run that was cut off, by the policy that it left; None where no policy is its own."""
    try:
        with open(POLICY) as file:
            lines = file.read().splitlines()
    except (OSError, ValueError):
        return None
    return next((line[len(MARK) :].split() for line in lines if line.startswith(MARK)), None)


@contextlib.contextmanager
def no_services_started(names):
    """Keep packages from starting their services; an administrator's own policy stays."""
    held = hold(names)
    try:
        yield
    finally:
        if held:
            os.unlink(POLICY)


def hold(names):
    """Write the policy that starts no service, with the names of the packages; return whether it is this module's."""
    written = POLICY + ".toolkit"
    with open(written, "w") as file:
        file.write("#!/bin/sh\n%s %s\nexit 101\n" % (MARK, " ".join(names)))
    os.chmod(written, 0o755)  # noqa: S103 - invoke-rc.d runs it
    if left_behind() is not None:
        os.replace(written, POLICY)
        return True
    try:
        os.link(written, POLICY)
    except FileExistsError:
        return False
    finally:
        os.unlink(written)
    return True


def switch_off(module, packages):
    """Keep the services of the packages from starting, now and with the host."""
    units = [each["unit"] for each in packages if each["unit"]]
    if units and os.path.isdir(SYSTEMD):
        module.run_command(["systemctl", "disable", "--now", "--quiet", *units], check_rc=True)


def sources(module, directory, scratch):
    """Return apt-get's options that make the package files of `directory` its only source."""
    code, _, words = module.run_command(["sh", "-c", INDEX, "sh", directory, scratch])
    if code:
        module.fail_json(msg="the package files in %s cannot be read: %s" % (directory, words))
    for each in os.listdir(directory):
        os.symlink(os.path.join(directory, each), os.path.join(scratch, each))
    source = os.path.join(scratch, "sources.list")
    with open(source, "w") as file:
        file.write("deb [trusted=yes] file:%s ./\n" % scratch)
    lists = os.path.join(scratch, "lists")
    os.makedirs(os.path.join(lists, "partial"))
    settings = {
        "Dir::Etc::sourcelist": source,
        "Dir::Etc::sourceparts": "/nowhere",
        "Dir::State::lists": lists,
        # apt's unprivileged user could not read the scratch directory.
        "APT::Sandbox::User": "root",
    }
    return ["--option=%s=%s" % each for each in settings.items()]


def install(module, names, options):
    """Install the packages; fail with apt's words and the remedies."""
    environment = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    _, _, looked = module.run_command(["apt-get", *options, "update"], environ_update=environment)
    code, _, words = module.run_command(
        ["apt-get", *options, *INSTALL, *names],
        environ_update=environment,
    )
    if code:
        said = [line for line in (words + looked).splitlines() if line.startswith("E:")]
        module.fail_json(
            msg="it lacks %s and cannot get it (%s); run there: sudo apt-get install %s; or carry it: "
            "name a directory of package files as toolkit_packages in the fleet file"
            % (", ".join(names), (said or [words.strip()])[0], " ".join(names))
        )


def main():
    """Run the module."""
    package_spec = {
        "name": {"type": "str", "required": True},
        "path": {"type": "path"},
        "unit": {"type": "str"},
    }
    module = AnsibleModule(
        argument_spec={
            "packages": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": package_spec,
            },
            "directory": {"type": "path"},
        },
        supports_check_mode=True,
    )
    lacking = missing(module, module.params["packages"])
    cut_off = left_behind()
    begun = [
        each
        for each in module.params["packages"]
        if each in lacking or each["name"] in (cut_off or ())
    ]
    if (begun or cut_off is not None) and not module.check_mode:
        with no_services_started([each["name"] for each in begun]):
            if lacking:
                install_missing(module, lacking)
            switch_off(module, begun)
    names = [each["name"] for each in begun]
    module.exit_json(changed=bool(names) or cut_off is not None, installed=names)


def install_missing(module, packages):
    """Install the packages; fail where they are not as wanted afterwards."""
    with tempfile.TemporaryDirectory(prefix="toolkit-packages-") as scratch:
        directory = module.params["directory"]
        options = sources(module, directory, scratch) if directory else []
        install(module, [each["name"] for each in packages], options)
    if left := [each["name"] for each in missing(module, packages)]:
        module.fail_json(msg="installed, but not as wanted: %s" % ", ".join(left))


if __name__ == "__main__":
    main()
