"""What a playbook is given is taken as it is written, whatever stands in it."""

from __future__ import annotations

import json
import shlex

from tests.adapters.test_ansible import HEAD, Lab, lab, modules

__all__ = ["lab", "modules"]

# As the role `replica` writes the manifest and the command of a slot.
WORDS = """\
    - name: Write all words
      ansible.builtin.copy:
        content: "{{ manifest | to_nice_json(sort_keys=true) }}"
        dest: "{{ place }}/words"
        mode: "0600"
    - name: Write the command
      ansible.builtin.copy:
        content: "{% for word in command %}{{ word | quote }} {% endfor %}"
        dest: "{{ place }}/command"
        mode: "0600"
"""


def test_no_word_of_a_release_is_evaluated(lab: Lab) -> None:
    """Ansible would do so on this machine, with the operator's rights: a chat template could run any program there."""
    (lab.place / "playbooks/words.yml").write_text(HEAD + WORDS)
    planted = lab.place / "planted"
    texts = [
        "{{ lookup('pipe', 'touch " + str(planted) + "') }}",
        "{% for message in messages %}{{ message.content }}{% endfor %}",
        '{"stop": "{{ 7 * 7 }}"}',
        "{# no comment #}",
        "{plain}",
        "!unsafe %h #|",
    ]
    manifest = {
        "release": {
            "env": {f"V{each}": text for each, text in enumerate(texts)},
            "checks": [{"prompt": texts}],
        }
    }
    variables = {"place": str(lab.place), "manifest": manifest, "command": tuple(texts)}
    lab.converge.run("words", lab.host, variables, lab.said.append)
    assert json.loads((lab.place / "words").read_text()) == manifest
    assert shlex.split((lab.place / "command").read_text()) == texts
    assert not planted.exists()
