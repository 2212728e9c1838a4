"""File names -> which are pinned, which are left out and why, or why none can be."""

from __future__ import annotations

import pytest

from toolkit.domain.registry.model import Permission
from toolkit.planning.release.file_choice import FileChoice, choose_files

NONE = Permission()
BIN = Permission(formats=("bin",), reason="reviewed")
CODE = Permission(trust_remote_code=True, reason="reviewed")
SECOND = "second copy of the weights in the vendor's own layout"
RUNS = "format {} is not permitted: loading it can run code"

CHOICES = {
    "a sharded repository is kept whole": (
        ["LICENSE", "README.md", "config.json", "generation_config.json", "merges.txt", "vocab.json",
         "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
         "model.safetensors.index.json", "tokenizer.json", "tokenizer.model", "chat_template.jinja"],
        NONE,
        FileChoice((
            "LICENSE", "README.md", "chat_template.jinja", "config.json", "generation_config.json",
            "merges.txt", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
            "model.safetensors.index.json", "tokenizer.json", "tokenizer.model", "vocab.json")),
    ),
    "Llama's original weights are a second copy": (
        ["USE_POLICY.md", "config.json", "model.safetensors", "original/consolidated.00.pth",
         "original/params.json", "original/tokenizer.model"],
        NONE,
        FileChoice(("USE_POLICY.md", "config.json", "model.safetensors"), {
            "original/consolidated.00.pth": SECOND,
            "original/params.json": SECOND,
            "original/tokenizer.model": SECOND}),
    ),
    "Mistral's consolidated weights are a second copy": (
        ["config.json", "consolidated.safetensors", "model-00001-of-00001.safetensors",
         "params.json", "tokenizer.model.v3"],
        NONE,
        FileChoice(("config.json", "model-00001-of-00001.safetensors", "params.json",
                    "tokenizer.model.v3"), {"consolidated.safetensors": SECOND}),
    ),
    "consolidated weights are kept where they are the only ones": (
        ["consolidated.safetensors", "params.json"],
        NONE,
        FileChoice(("consolidated.safetensors", "params.json")),
    ),
    "other formats and their index are left out beside safetensors": (
        ["config.json", "model.safetensors", "pytorch_model-00001-of-00001.bin",
         "pytorch_model.bin.index.json", "model.gguf", "flax_model.msgpack", "tf_model.h5",
         "onnx/model.onnx", "onnx/model.onnx_data", "training_args.PT", "optimizer.pickle"],
        NONE,
        FileChoice(("config.json", "model.safetensors"), {
            "flax_model.msgpack": RUNS.format("msgpack"),
            "model.gguf": RUNS.format("gguf"),
            "onnx/model.onnx": RUNS.format("onnx"),
            "onnx/model.onnx_data": RUNS.format("onnx"),
            "optimizer.pickle": RUNS.format("pkl"),
            "pytorch_model-00001-of-00001.bin": RUNS.format("bin"),
            "pytorch_model.bin.index.json": "index of weights in format bin, which are left out",
            "tf_model.h5": RUNS.format("h5"),
            "training_args.PT": RUNS.format("pt")}),
    ),
    "a permitted format is kept with its index": (
        ["config.json", "pytorch_model.bin", "pytorch_model.bin.index.json", "other.pt"],
        BIN,
        FileChoice(("config.json", "pytorch_model.bin", "pytorch_model.bin.index.json"),
                   {"other.pt": RUNS.format("pt")}),
    ),
    "code is left out": (
        ["config.json", "model.safetensors", "modeling_x.py", "run.sh", ".gitattributes",
         ".cache/x.json", "figure.png"],
        NONE,
        FileChoice(("config.json", "model.safetensors"), {
            ".cache/x.json": "hidden file",
            ".gitattributes": "hidden file",
            "figure.png": "not needed to serve",
            "modeling_x.py": "code is not permitted",
            "run.sh": "not needed to serve"}),
    ),
    "code is kept with permission": (
        ["config.json", "model.safetensors", "modeling_x.py"],
        CODE,
        FileChoice(("config.json", "model.safetensors", "modeling_x.py")),
    ),
    "weights in formats that run code alone are refused": (
        ["config.json", "pytorch_model.bin", "model.pt"],
        NONE,
        FileChoice((), {"model.pt": RUNS.format("pt"), "pytorch_model.bin": RUNS.format("bin")},
            "it has no safetensors weights, only bin, pt",
            "choose a revision with safetensors, or, after a review, write under the version: "
            "`permission: {formats: [bin, pt], reason: ...}`"),
    ),
    "permission for code is none for formats": (
        ["pytorch_model.bin"],
        CODE,
        FileChoice((), {"pytorch_model.bin": RUNS.format("bin")},
            "it has no safetensors weights, only bin",
            "choose a revision with safetensors, or, after a review, write under the version: "
            "`permission: {formats: [bin], reason: ...}`"),
    ),
    "weights where no engine looks for them are refused": (
        ["config.json", "llm/model.safetensors", "pytorch_model.bin"],
        NONE,
        FileChoice((), {"pytorch_model.bin": RUNS.format("bin")},
            "no engine reads 'llm/model.safetensors': weights lie at the top, and end with .safetensors",
            "check the repository and the revision"),
    ),
    "weights in large letters are refused": (
        ["config.json", "MODEL.SAFETENSORS"],
        NONE,
        FileChoice((), {},
            "no engine reads 'MODEL.SAFETENSORS': weights lie at the top, and end with .safetensors",
            "check the repository and the revision"),
    ),
    "a repository without weights is refused": (
        ["config.json"],
        NONE,
        FileChoice((), {}, "it has no weights", "check the repository and the revision"),
    ),
    "an empty repository is refused": (
        [],
        NONE,
        FileChoice((), {}, "it has no weights", "check the repository and the revision"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("paths", "permission", "choice"), CHOICES.values(), ids=CHOICES.keys())
def test_formats_and_permission_decide_which_files_are_chosen(
    paths: list[str], permission: Permission, choice: FileChoice
) -> None:
    assert choose_files(paths, permission) == choice
    assert choose_files(reversed(paths), permission) == choice
