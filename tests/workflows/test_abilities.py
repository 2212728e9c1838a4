"""What `registry check` and `registry show` say of what models can do, from a pin of a directory on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jinja2
import pytest
import yaml
from click.testing import CliRunner

from toolkit.cli.main import cli
from toolkit.config.registry.lock_file import lock_path
from toolkit.domain.files.capabilities import Capabilities
from toolkit.domain.gates.kind import Kind
from toolkit.planning.guard.kinds import PATHS
from toolkit.planning.release.capabilities import answers
from toolkit.workflows.registry.check import Remark, check_registry
from toolkit.workflows.registry.pin import lock_versions, pin_version

REGISTRY = """\
policy: {licences: {allowed: [mit]}}
models:
  house:
    licence: mit
    openness: fully-open
    source: {path: ./house}
    engine: {name: vllm, version: 0.32.0}
    resources: {accelerators: [cpu], memory: 6GiB}
"""
TOOLS = "{% if tools %}{% for tool in tools %}{{ tool }}{% endfor %}{% endif %}"


class House:
    """A model made in house, in a registry of its own."""

    def __init__(self, place: Path) -> None:
        self.path, self.model = place / "model_registry.yaml", place / "house"
        self.path.write_text(REGISTRY)
        self.model.mkdir()
        header = b'{"w": {"dtype": "I8", "shape": [1], "data_offsets": [0, 1]}}'
        length = len(header).to_bytes(8, "little")
        (self.model / "model.safetensors").write_bytes(length + header + b"w")

    def pin(self, architecture: str, template: str = "", **files: str) -> None:
        config = {"architectures": [architecture], "max_position_embeddings": 2048}
        (self.model / "config.json").write_text(json.dumps(config))
        if template:
            (self.model / "chat_template.jinja").write_text(template)
        for name, text in files.items():
            (self.model / f"{name}.json").write_text(text)
        pin_version(self.path, "house", name="v1", open_hub=_no_hub, report=lambda _: None)

    def findings(self) -> list[tuple[bool, str, str]]:
        return [_told(each) for each in check_registry(self.path).findings]

    def shown(self) -> str:
        done = CliRunner().invoke(cli, ["registry", "show", "house", "--registry", str(self.path)])
        assert done.exit_code == 0, done.output
        return done.output


def _no_hub() -> None:
    raise AssertionError("a directory asks no Hub")


def _told(finding: Remark) -> tuple[bool, str, str]:
    return finding.fault, finding.message, finding.hint


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_known_family_has_its_parsers_and_nothing_to_warn_of(house: House) -> None:
    house.pin(
        "Qwen3ForCausalLM", f"{TOOLS}<tool_call>{{% if enable_thinking %}}<think>{{% endif %}}"
    )
    assert house.findings() == []
    said = " ".join(house.shown().split())
    assert "does chat, tools, reasoning" in said
    assert "context 2,048 tokens" in said
    assert "tools read by hermes" in said
    assert "thoughts read by qwen3" in said


def test_a_template_with_tools_that_no_parser_reads_is_a_warning(house: House) -> None:
    house.pin("NewForCausalLM", TOOLS)
    message = "its chat template has tools, and this toolkit knows no parser for its family"
    hint = "write `tool-call-parser: NAME` under `serving`; toolkit registry show house@v1"
    assert house.findings() == [(False, message, hint)]


@pytest.mark.parametrize("words", ["tool-call-parser: hermes", "enable-auto-tool-choice: false"])
def test_a_word_in_the_registry_ends_that_warning(house: House, words: str) -> None:
    house.pin("NewForCausalLM", TOOLS)
    text = house.path.read_text()
    house.path.write_text(
        text.replace("    versions:\n", f"    serving: {{{words}}}\n    versions:\n")
    )
    assert house.findings() == []


def test_a_lock_of_an_older_toolkit_is_a_remark_with_the_command_that_ends_it(
    house: House,
) -> None:
    house.pin("BertModel")
    lock = lock_path(house.path)
    data = json.loads(lock.read_text())
    del data["models"]
    lock.write_text(json.dumps(data))
    message = "an older toolkit pinned it, so its lock does not say what it can do"
    assert house.findings() == [(False, message, "toolkit registry pin house@v1 --lock-only")]
    lock_versions(house.path, "house@v1", open_hub=_no_hub, report=lambda _: None)
    assert house.findings() == []
    assert "embedding" in house.shown()


@pytest.mark.parametrize(
    ("architecture", "kind", "does"),
    [
        ("BertModel", "chat", "embedding"),
        ("WhisperForConditionalGeneration", "embedding", "transcription"),
        ("BertModel", "rerank", ""),
        ("BertModel", "embedding", ""),
    ],
)
def test_a_check_asks_for_what_the_model_does(
    house: House, architecture: str, kind: str, does: str
) -> None:
    """Otherwise the start of a large model ends at its gate."""
    house.pin(architecture)
    text = house.path.read_text()
    check = f"    checks: [{{kind: {kind}, prompt: hi}}]\n    versions:\n"
    house.path.write_text(text.replace("    versions:\n", check))
    message = f"a check asks for {kind}, and the model does {does}"
    hint = "remove the `kind` of the check, or write the kind of the model as `kind`"
    assert house.findings() == ([(True, message, hint)] if does else [])


def test_a_reward_model_that_no_client_could_ask_is_a_fault_until_a_person_says_a_kind(
    house: House,
) -> None:
    house.pin("Qwen2ForRewardModel")
    ((fault, message, _),) = house.findings()
    assert fault
    assert message.startswith("it is a reward model (Qwen2ForRewardModel): the engine tells its")
    text = house.path.read_text()
    house.path.write_text(text.replace("    versions:\n", "    kind: embedding\n    versions:\n"))
    assert house.findings() == []


ROUTER = Path(__file__).parents[2] / "playbooks/roles/router"
REFUSAL = re.compile(r"!{ var\(txn\.does\) -m sub ([^}]+) } { path ([^}]+) }$", re.MULTILINE)


def test_the_router_refuses_what_the_registry_refuses() -> None:
    """Two tables say what a model answers: this one and the router's, which its configuration is made of."""
    variables = yaml.safe_load((ROUTER / "vars/main.yml").read_text())
    template = (ROUTER / "templates/haproxy.cfg.j2").read_text()
    (loop,) = re.findall(
        r"{% for words, kinds, paths in router_kinds %}.*?{% endfor %}", template, re.DOTALL
    )
    rules = REFUSAL.findall(jinja2.Template(loop).render(variables))
    taken = {path: kinds.split() for kinds, paths in rules for path in paths.split()}
    assert set(PATHS) == set(Kind)
    for asked, path in PATHS.items():
        for does in Kind:
            # HAProxy looks for one of the words anywhere in what the model does.
            passes = any(kind in does for kind in taken[path])
            assert answers(Capabilities(does), asked) == passes, (asked, does)


def test_an_embedding_has_no_text_to_contain_anything(house: House) -> None:
    house.pin("BertModel")
    text = house.path.read_text()
    house.path.write_text(
        text.replace("    versions:\n", "    checks: [{prompt: hi, contains: x}]\n    versions:\n")
    )
    message = "an answer of kind embedding has no text to contain 'x'"
    hint = "remove `contains`, or write the kind of the model as `kind`"
    assert house.findings() == [(True, message, hint)]
    # The registry's word decides where the files tell it wrong.
    house.path.write_text(
        house.path.read_text().replace("    checks:", "    kind: chat\n    checks:")
    )
    assert house.findings() == []


def test_golden_prompts_ask_for_what_the_model_does(house: House) -> None:
    """Otherwise both releases refuse them, and no gate ever compares an answer."""
    house.pin("BertModel")
    text = house.path.read_text()
    guard = "    guard: {answers: {file: golden.yaml}}\n    versions:\n"
    house.path.write_text(text.replace("    versions:\n", guard))
    golden = house.path.parent / "golden.yaml"
    golden.write_text("- {kind: embedding, prompt: hi, expect: {dimensions: 8}}\n")
    assert house.findings() == []
    golden.write_text(golden.read_text() + "- {prompt: hi, expect: {contains: hello}}\n")
    message = "golden.yaml:2: a prompt of kind chat, and the model does embedding"
    hint = "take the prompt out, or write the kind of the model as `kind`"
    assert house.findings() == [(True, message, hint)]
