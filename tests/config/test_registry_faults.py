"""A broken registry: one message with file, line, column and what to do; never a traceback."""

# One row of a table is one line, however long.
# ruff: noqa: E501

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from toolkit.config.registry.reading import load_registry, registry_faults
from toolkit.errors import InputError

GOOD = """\
policy:
  licences:
    allowed: [apache-2.0]
    denied: [cc-by-nc-4.0]
    approved: {llama3.1: [tiny]}
models:
  tiny:
    description: a small one
    licence: apache-2.0
    openness: open-weights
    source: {repo: acme/tiny}
    engine: {name: vllm, version: 0.32.0}
    resources: {accelerators: [cuda, cpu], memory: 6GiB, devices: 1}
    serving: {max-model-len: 512}
    env: {VLLM_LOGGING_LEVEL: WARNING}
    checks: [{prompt: hello, contains: world, timeout: 60s}]
    versions:
      "1":
        revision: a09a35458c702b33eeacc393d103063234e8bc28
"""
COMMIT = "a09a35458c702b33eeacc393d103063234e8bc28"
NAME_HINT = "up to 63 of a-z 0-9 . _ - with a letter or digit first, in lower case"
MODEL_FIELDS = "adapters, aliases, checks, description, engine, env, guard, hold, inside, kind, licence, lora, objectives, openness, resources, routing, serving, source, versions"

# what stands there -> what somebody wrote instead -> place, message, hint
FAULTS = [
    # revisions
    (COMMIT, "main", "19:19", "revision 'main' is no full commit (40 of 0-9 a-f)", "toolkit registry pin tiny main"),
    (COMMIT, "v1.0", "19:19", "revision 'v1.0' is no full commit (40 of 0-9 a-f)", "toolkit registry pin tiny v1.0"),
    (COMMIT, "a09a354", "19:19", "revision 'a09a354' is no full commit (40 of 0-9 a-f)", "toolkit registry pin tiny a09a354"),
    (COMMIT, COMMIT.upper(), "19:19", f"revision '{COMMIT.upper()}' is no full commit (40 of 0-9 a-f)", f"toolkit registry pin tiny {COMMIT.upper()}"),
    (COMMIT, f'"{COMMIT}\\n"', "19:19", f"revision '{COMMIT}\\n' is no full commit (40 of 0-9 a-f)", "toolkit registry pin tiny"),
    (COMMIT, "1234567", "19:19", "revision: expected text, not the number 1234567", 'write it in quotes: "1234567"'),
    (f"        revision: {COMMIT}", "        openness: open-weights", "18:7", "'1' has no 'revision'", 'add `revision:` with a value such as "a09a35458c702b33eeacc393d103063234e8bc28"'),
    # fields
    ("    engine:", "    engin:", "12:5", "unknown field 'engin'", "did you mean 'engine'?"),
    ("max-model-len: 512}", "max-model-len: 512}\n    maxlen: 5", "15:5", "unknown field 'maxlen'", f"known here: {MODEL_FIELDS}"),
    ("devices: 1", "device: 1", "13:58", "unknown field 'device'", "did you mean 'devices'?"),
    ("models:", "modles:", "1:1", "the file has no 'models'", "add `models:` with a value"),
    ("    openness: open-weights\n", "", "17:7", "tiny@1 has no 'openness'", "add `openness:` to the model or to the version; see docs/registry.md"),
    ("licence: apache-2.0", "licence:", "9:5", "'licence' has no value", "write one, or remove the line"),
    # types
    ("memory: 6GiB", "memory: 6", "13:52", "memory: expected text, not the number 6", "write it like 16GiB or 500MB"),
    ("memory: 6GiB", "memory: six", "13:52", "'six' is not a size", "write it like 16GiB or 500MB"),
    ("memory: 6GiB", "memory: 0GiB", "13:52", "'0GiB' is no memory at all", "write it like 16GiB"),
    ("version: 0.32.0", "version: 0.32", "12:35", "version: expected text, not the number 0.32", 'write it in quotes: "0.32"'),
    ("version: 0.32.0", "version: 0." + "9" * 5000 + ".0", "12:35", f"'0.{'9' * 55}...' is no full engine version", "write it like 0.32.0"),
    ("prompt: hello", "prompt: " + "h" * 17_000, "16:23", "prompt: more than 16384 characters", "leave some of it out"),
    ("a small one", "h" * 17_000, "8:18", "description: more than 16384 characters", "leave some of it out"),
    ("[{prompt: hello, contains: world, timeout: 60s}]", "[" + "{prompt: a}, " * 65 + "]", "16:13", "checks: more than 64 entries", "leave some of it out"),
    ("version: 0.32.0", "version: 0.032.0", "12:35", "'0.032.0' is no full engine version", "write it like 0.32.0"),
    ("version: 0.32.0", "version: 0.32.0post1", "12:35", "'0.32.0post1' is no full engine version", "write it like 0.32.0"),
    ("version: 0.32.0", "version: latest", "12:35", "'latest' is no full engine version", "write it like 0.32.0"),
    ("name: vllm", "name: vlm", "12:20", "name: 'vlm' is not known", "did you mean 'vllm'?"),
    ("[cuda, cpu]", "cuda", "13:31", "accelerators: expected a list, not the text 'cuda'", "write it in brackets: [cuda]"),
    ("[cuda, cpu]", "[cuda, tpu]", "13:38", "accelerators: 'tpu' is not known", "did you mean 'cpu'?"),
    ("[cuda, cpu]", "[]", "13:31", "accelerators: an empty list", 'for example ["cuda"]'),
    ("devices: 1", "devices: one", "13:67", "devices: expected a whole number, not the text 'one'", "for example 1"),
    ("devices: 1", "devices: true", "13:67", "devices: expected a whole number, not true", "for example 1"),
    ("devices: 1", "devices: 0", "13:67", "devices: input should be greater than or equal to 1", "for example 1"),
    ("{repo: acme/tiny}", "acme/tiny", "11:13", "source: expected a mapping (`key: value` lines), not the text 'acme/tiny'", "known here: path, repo, track"),
    ("{repo: acme/tiny}", "{}", "11:13", "a source is either a `repo` or a `path`", "write `source: {repo: owner/name}` or `source: {path: ./directory}`"),
    ("{repo: acme/tiny}", "{repo: acme/tiny, path: x}", "11:13", "a source is either a `repo` or a `path`", "write `source: {repo: owner/name}` or `source: {path: ./directory}`"),
    ("acme/tiny", "tiny", "11:20", "'tiny' is no repository of the Hub", "write it as owner/name"),
    ("acme/tiny", "../etc/x", "11:20", "'../etc/x' is no repository of the Hub", "write it as owner/name"),
    ("timeout: 60s", "timeout: soon", "16:56", "'soon' is not a duration", "write it like 60s or 2min"),
    ("timeout: 60s", "timeout: .inf", "16:56", "'.inf' is not a duration", "write it like 60s or 2min"),
    ("prompt: hello, ", "", "16:14", "entry 1 of 'checks' has no 'prompt'", 'add `prompt:` with a value such as "What is the capital of France?"'),
    # checks that cannot fail, cannot be passed, or prove nothing more
    ("contains: world", 'contains: ""', "16:14", "every answer contains ''", "write a text that the answer must contain, or remove `contains`"),
    ("contains: world", 'contains: " "', "16:14", "every answer contains ' '", "write a text that the answer must contain, or remove `contains`"),
    ("contains: world", f"max_tokens: 1, contains: {'w' * 257}", "16:14", "an answer of at most 1 tokens never has 257 characters", "raise `max_tokens`, or write less of the answer"),
    ("[{prompt: hello, contains: world, timeout: 60s}]", "[{prompt: a}, {prompt: b}, {prompt: a}]", "16:13", "the check 'a' is there twice", "remove one: it proves nothing more"),
    # names
    ("  tiny:", "  Tiny:", "7:3", "'Tiny' is not a name", NAME_HINT),
    ("  tiny:", "  ../tiny:", "7:3", "'../tiny' is not a name", NAME_HINT),
    ('"1":', "a/b:", "18:7", "'a/b' is not a name", NAME_HINT),
    ('"1":', '"":', "18:7", "'' is not a name", NAME_HINT),
    ("openness: open-weights", "openness: open_weights", "10:15", "openness: 'open_weights' is not known", "did you mean 'open-weights'?"),
    # serving
    ("max-model-len: 512", "port: 80", "14:15", "serving option 'port' is reserved", "the slot decides where a replica listens"),
    ("max-model-len: 512", "served_model_name: x", "14:15", "serving option 'served_model_name' is reserved", "the model's name in the registry is the public name"),
    ("max-model-len: 512", "trust-remote-code: true", "14:15", "serving option 'trust-remote-code' is reserved", "write it under the version's `permission`, with a reason"),
    ("max-model-len: 512", "trust-rem: true", "14:15", "vLLM 0.32 has no flag 'trust-rem'", "did you mean 'trust-remote-code'?"),
    ("max-model-len: 512", "ssl-keyfile: /k", "14:15", "serving option 'ssl-keyfile' is reserved", "the router is the one door, and it decides this"),
    ("max-model-len: 512", "api-key: x", "14:15", "serving option 'api-key' is reserved", "secrets do not belong here"),
    ("max-model-len: 512", "--max-model-len: 512", "14:15", "'--max-model-len' is no flag of vLLM", "write it without dashes in front: max-model-len"),
    ("max-model-len: 512", "a-b: 1, a_b: 2", "14:23", "'a_b' and 'a-b' are the same flag", "keep one of the two"),
    ("max-model-len: 512", 'hf-overrides: "{}", hf_overrides.a: 1', "14:35", "'hf_overrides.a' and 'hf-overrides' are the same flag", "keep one of the two"),
    ("max-model-len: 512", 'hf_overrides.a: 1, hf-overrides: "{}"', "14:34", "'hf-overrides' and 'hf_overrides.a' are the same flag", "keep one of the two"),
    ("max-model-len: 512", "zoo: {a: 1}", "14:20", "a serving option is text, a number, true, false or a list of these", "write nested options as JSON in quotes: '{\"key\": 1}'"),
    ("max-model-len: 512", 'ignore-patterns: [a, "--host"]', "14:32", "'--host' begins with a dash, and the engine would read it as a flag", "write flags as keys, and numbers without quotes"),
    ("max-model-len: 512", 'response-role: "a\\nb"', "14:30", "a value with a line end or a control character", "write it on one line"),
    ("a small one", '"\\e[31mred"', "8:18", "a text with the control character '\\x1b'", "write it without"),
    ("max-model-len: 512", "max_model_length: 512", "14:15", "vLLM 0.32 has no flag 'max_model_length'", "did you mean 'max-model-len'?"),
    ("max-model-len: 512", "monokernel: true", "14:15", "vLLM 0.32 has no flag 'monokernel'", "vLLM 0.33 has it"),
    ("max-model-len: 512", "tp: 2", "14:15", "vLLM 0.32 has no flag 'tp'", "did you mean 'tensor-parallel-size'?"),
    ("max-model-len: 512", "no_enable_prefix_caching: true", "14:15", "vLLM 0.32 has no flag 'no_enable_prefix_caching'", "write `enable-prefix-caching: false`"),
    ("max-model-len: 512", "max-model-len: -1", "14:30", "max-model-len: expected 1 to 134,217,728, not -1", "or one of: auto"),
    ("max-model-len: 512", "max-model-len: .nan", "14:30", "max-model-len: expected a whole number, or one such as 16k, not '.nan'", "see docs/registry.md"),
    ("max-model-len: 512", "max-model-len: []", "14:30", "max-model-len: expected one value, not an empty list", "write `max-model-len: VALUE`"),
    ("max-model-len: 512", "max-model-len: ٣", "14:30", "max-model-len: expected a whole number, or one such as 16k, not '٣'", "see docs/registry.md"),
    ("max-model-len: 512", "max-model-len: true", "14:30", "max-model-len: expected a whole number, or one such as 16k, not true", "see docs/registry.md"),
    ("max-model-len: 512", "enforce-eager: 1", "14:30", "enforce-eager: expected true or false, not 1", "write it without quotes"),
    ("max-model-len: 512", "dtype: bfloat", "14:22", "dtype: expected one of the engine's words, not 'bfloat'", "did you mean 'bfloat16'?"),
    ("max-model-len: 512", "kv-transfer-config: '{}'", "14:15", "serving option 'kv-transfer-config' needs a permission: it opens ports or connections beside the router", "leave it out, or allow it in the version: permission: {options: [kv-transfer-config], reason: ...}"),
    ("max-model-len: 512", "structured_outputs_config.reasoning_parser_plugin: /x.py", "14:15", "serving option 'structured_outputs_config.reasoning_parser_plugin' needs a permission: key 'reasoning_parser_plugin': it can name code, files or weights that nothing pins", "leave it out, or allow it in the version: permission: {options: [structured-outputs-config], reason: ...}"),
    ("memory: 6GiB", "memory: 100000000000TiB", "13:52", "'100000000000TiB' is more than any host has", "write it like 16GiB"),
    # options of the engine
    ("max-model-len: 512", "max-model-len: 1.5", "14:30", "max-model-len: expected a whole number, or one such as 16k, not 1.5", "see docs/registry.md"),
    ("max-model-len: 512", "gpu-memory-utilization: 1.5", "14:39", "gpu-memory-utilization: expected 0.01 to 1, not 1.5", "see docs/registry.md"),
    ("memory: 6GiB", "memory: ٦GiB", "13:52", "'٦GiB' is not a size", "write it like 16GiB or 500MB"),
    # environment
    ("VLLM_LOGGING_LEVEL: WARNING", "VLLM_PLUGINS: x", "15:11", "environment variable VLLM_PLUGINS needs a permission: it loads code by its name", "leave it out, or allow it in the version: permission: {options: [VLLM_PLUGINS], reason: ...}"),
    ("VLLM_LOGGING_LEVEL: WARNING", "VLLM_LOGGING_LEVL: x", "15:11", "vLLM 0.32 has no variable VLLM_LOGGING_LEVL", "did you mean 'VLLM_LOGGING_LEVEL'?"),
    ("VLLM_LOGGING_LEVEL: WARNING", "BASH_ENV: x", "15:11", "environment variable BASH_ENV needs a permission: this toolkit has not judged what it does", "leave it out, or allow it in the version: permission: {options: [BASH_ENV], reason: ...}"),
    ("VLLM_LOGGING_LEVEL: WARNING", "HF_TOKEN: x", "15:11", "environment variable HF_TOKEN looks like a secret", "secrets do not belong in the registry; this machine's environment holds tokens"),
    ("VLLM_LOGGING_LEVEL: WARNING", "VLLM_API_KEY: x", "15:11", "environment variable VLLM_API_KEY looks like a secret", "secrets do not belong in the registry; this machine's environment holds tokens"),
    ("VLLM_LOGGING_LEVEL: WARNING", "LD_PRELOAD: /x.so", "15:11", "environment variable LD_PRELOAD is reserved", "it changes which libraries are loaded"),
    ("VLLM_LOGGING_LEVEL: WARNING", "lower: x", "15:11", "'lower' is no name of an environment variable", "write it in capitals: VLLM_LOGGING_LEVEL"),
    ("WARNING", "1", "15:31", "VLLM_LOGGING_LEVEL: expected text, not the number 1", 'write it in quotes: "1"'),
    ("VLLM_LOGGING_LEVEL: WARNING", "VLLM_LOGGING_PREFIX: hf_abcdefghijklmnopqrstuvwx", "15:32", "this value looks like an access token", "secrets do not belong in the registry; revoke the token if the file was shared"),
    # policy
    ("[tiny]", "[tny]", "5:27", "no model 'tny' in this registry", "did you mean tiny?"),
    ("[cc-by-nc-4.0]", "[apache-2.0]", "4:14", "'apache-2.0' is denied here and allowed or approved above", "keep one of the two"),
    ("[apache-2.0]", "[Apache-2.0]", "3:15", "'Apache-2.0' is not a licence id", "write the Hub's id in lower case, such as apache-2.0"),
    # YAML
    ("  tiny:\n", "  tiny:\n    licence: mit\n", "10:5", "'licence' stands here twice", "line 8 has it already"),
    ("    engine:", "\tengine:", "12:1", "not YAML: a tab where YAML allows only spaces", "indent with spaces"),
    ("a small one", "&x one", "8:18", "a YAML anchor &x", "write the value out"),
    ("a small one", "*x", "8:18", "a YAML alias", "write the value out; aliases are not read"),
    ("a small one", "!!python/object:os.system x", "8:18", "a YAML tag tag:yaml.org,2002:python/object:os.system", "remove it; values need no tags"),
    ("a small one", "a: b", "8:19", "not YAML: mapping values are not allowed here", "check the indentation and the quotes around this line"),
    ("policy:\n", "--- a\n--- b\npolicy:\n", "2:1", "a second YAML document", "keep one document per file"),
    ("a small one", "[" * 5000, "8:31", "nested deeper than 16 levels", "no entry needs that depth"),
    ("a small one", "{a: " * 500, "8:70", "nested deeper than 16 levels", "no entry needs that depth"),
    ("a small one", "x" * 30_000, "8:1", "a line of 30017 characters", "break it"),
    ("a small one", "\x1b[31m", "8:18", "control character '\\x1b'; this is no text file", "remove it, or name another file"),
    ("a small one", "a\u2028b", "8:19", "control character '\\u2028'; this is no text file", "remove it, or name another file"),
]  # fmt: skip


@pytest.mark.parametrize(("good", "bad", "place", "message", "hint"), FAULTS)
def test_each_fault_has_its_place_message_and_hint(
    tmp_path: Path, good: str, bad: str, place: str, message: str, hint: str
) -> None:
    assert good in GOOD
    path = tmp_path / "model_registry.yaml"
    text = GOOD.replace(good, bad, 1)
    path.write_text(text)

    with pytest.raises(InputError) as caught:
        load_registry(path)

    assert caught.value.message.partition("\n")[0] == f"{path}:{place}: {message}"
    assert caught.value.hint == hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("field", ["versions", "source", "licence"])
def test_a_key_that_is_written_as_null_is_one_fault(field: str) -> None:
    text = f"models:\n  tiny:\n    {field}: ~\n"
    found = [each.message for each in registry_faults(Path("r.yaml"), text)]
    assert [each for each in found if "no value" in each or "nothing" in each] == [
        f"'{field}' has no value"
    ]


def test_the_first_of_several_faults_in_the_order_of_the_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(GOOD.replace("devices: 1", "devices: x").replace("[apache-2.0]", "[A]"))
    with pytest.raises(InputError, match=r"r\.yaml:3:15: 'A' is not a licence id"):
        load_registry(path)


# bytes of the file -> message after the path, hint
FILES = [
    (b"", ": the registry is empty", "move it away, then toolkit registry init --registry {path}"),
    (b"# nothing yet\n", ": the registry is empty", "move it away, then toolkit registry init --registry {path}"),
    (b"just words", ":1:1: expected a mapping (`key: value` lines), not the text 'just words'", "known here: models, policy"),
    (b"- a\n", ":1:1: expected a mapping (`key: value` lines), not a list", "known here: models, policy"),
    (b"models: {tiny: {}}\n", ":1:10: 'tiny' has no version", "toolkit registry pin tiny"),
    (b"models: {tiny: {versions: }}\n", ":1:17: 'versions' has no value", "toolkit registry pin tiny"),
    (b"models:\n  caf\xe9:\n", ":2: byte 13 is not UTF-8 text", "save the file as UTF-8"),
    (b"\x7fELF\x02\x01\x01\x00\x00", ":1:1: control character '\\x7f'; this is no text file", "remove it, or name another file"),
    (b"a\x00b", ":1:2: control character '\\x00'; this is no text file", "remove it, or name another file"),
    (b"x" * 10_000_000, " is larger than 1 MiB; this is not the file that was meant", "name another file"),
    (b"- a\n" * 250_000, ":20000:3: more than 20000 values", "leave some out"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "message", "hint"), FILES, ids=range(len(FILES)))
def test_files_that_are_no_registry(tmp_path: Path, data: bytes, message: str, hint: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        load_registry(path)
    assert (caught.value.message, caught.value.hint) == (f"{path}{message}", hint.format(path=path))


def test_a_missing_file_a_directory_and_a_pipe(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    for name, message, hint in [
        (
            "absent.yaml",
            "does not exist",
            f"toolkit registry init --registry {tmp_path}/absent.yaml",
        ),
        (".", "is a directory", "name a file"),
        ("pipe", "is not a regular file", "name a file"),
    ]:
        path = tmp_path / name
        with pytest.raises(InputError) as caught:
            load_registry(path)
        assert (caught.value.message, caught.value.hint) == (f"{path} {message}", hint)


def test_ten_megabytes_of_nonsense_are_answered_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(b"a: [" * 2_500_000)
    began = time.process_time()
    with pytest.raises(InputError):
        load_registry(path)
    # Read and parsed, it would take a minute; the limit leaves room for a slow machine.
    assert time.process_time() - began < 5


def test_random_damage_is_a_fault_or_a_registry_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    dice = random.Random(20261122)
    pieces = [":", "- ", "{", "}", "[", "]", "&a ", "*a", "!!", "|", ">", "'", '"', "#", "\t", "\n", "%", "@", "? ", "---\n", "\r", "é", "\ufeff", "\u0085", "0x1", ".inf", "null", "1e999", "<<: "]  # fmt: skip
    read = refused = 0
    for _ in range(400):
        text = GOOD
        for _ in range(dice.randint(1, 2)):
            at = dice.randrange(len(text))
            text = text[:at] + dice.choice([*pieces, ""]) + text[at + dice.randint(0, 3) :]
        path.write_bytes(text.encode())
        try:
            load_registry(path)
            read += 1
        except InputError as error:
            refused += 1
            assert error.message.startswith(f"{path}:")
    assert read > 5
    assert refused > 200


WAITING = """
  later:
    description: To be pinned
    licence: apache-2.0
    openness: fully-open
    source: {repo: acme/later}
    engine: {name: vllm, version: 0.32.0}
    resources: {accelerators: [cpu], memory: 1GiB}
    versions: VERSIONS
"""


@pytest.mark.parametrize(
    ("versions", "why"),
    [
        ("", "later has no version yet"),
        ("{}", "later has no version yet"),
        ("{v1: {revision: main}}", "later@v1 is not pinned: its revision is 'main'"),
    ],
)
def test_a_model_that_waits_to_be_pinned_keeps_no_other_from_use(
    tmp_path: Path, versions: str, why: str
) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(GOOD.rstrip() + WAITING.replace("VERSIONS", versions))
    alone = tmp_path / "alone.yaml"
    alone.write_text(GOOD)
    found, others = load_registry(path), load_registry(alone)
    assert found.models.keys() == others.models.keys()
    assert [each.title for each in found.versions] == [each.title for each in others.versions]
    assert (found.waiting, others.waiting) == (
        {"later": (why, "toolkit registry pin later")},
        {},
    )
    with pytest.raises(InputError) as caught:
        found.version("later")
    assert (caught.value.message, caught.value.hint) == (why, "toolkit registry pin later")
    # The check of the whole file still names it.
    (fault,) = registry_faults(path, path.read_text())
    assert fault.hint.startswith("toolkit registry pin")


def test_a_fault_of_such_a_model_is_still_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(GOOD.rstrip() + WAITING.replace("VERSIONS", "{}").replace("1GiB", "much"))
    with pytest.raises(InputError, match="much"):
        load_registry(path)
