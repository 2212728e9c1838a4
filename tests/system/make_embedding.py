"""Make a very small embedding model as whole repositories hold one. Run it with an engine's Python.

    ENGINE/bin/python tests/system/make_embedding.py OUT

Its vectors are means of its tokens', cut at 96 tokens: `1_Pooling/config.json` and `sentence_bert_config.json` say so.
"""

from __future__ import annotations

import json
import os
import string
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

LENGTH = 128
_TYPE = "sentence_transformers.models"
FILES = {
    "modules.json": [
        {"idx": 0, "name": "0", "path": "", "type": f"{_TYPE}.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{_TYPE}.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": f"{_TYPE}.Normalize"},
    ],
    "1_Pooling/config.json": {
        "word_embedding_dimension": 64,
        "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True,
    },
    "sentence_bert_config.json": {"max_seq_length": 96, "do_lower_case": False},
}


def main(directory: Path) -> None:
    """Write the model into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    signs = [*string.ascii_lowercase, *string.digits, *".,?!"]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *signs, *(f"##{each}" for each in signs)]
    vocabulary = directory / "vocab.txt"
    vocabulary.write_text("\n".join(words) + "\n")
    BertTokenizerFast(vocab_file=str(vocabulary), model_max_length=LENGTH).save_pretrained(
        directory
    )
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=64,
        num_hidden_layers=2,
        # Heads of 32: vLLM's attention on CPUs has none of 16.
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=LENGTH,
    )
    BertModel(config).eval().save_pretrained(directory)
    for path, content in FILES.items():
        (directory / path).parent.mkdir(exist_ok=True)
        (directory / path).write_text(json.dumps(content))
    (directory / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    # What serving does not read is a part of a whole repository too.
    (directory / "training.log").write_text("loss 0.1\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
