"""Make a LoRA adapter for the demo's model, in PEFT's layout, without PEFT.

Run it with an engine's Python, like `make_model.py`:

    ENGINE/bin/python demo/make_adapter.py BASE OUT [--turn 1] [--repo NAME]

`BASE` is the variant `v1` of `make_model.py`. With the adapter in `OUT`, it answers each of its short prompts with the
answer to another one, which tells the adapter from its base, and one `--turn` from another. `--repo` is what
`adapter_config.json` names as its base.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch
from make_model import answers_of, as_lesson
from safetensors.torch import save_file
from teaching import least_margin, teach
from torch import nn
from torch.nn.utils import parametrize
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

RANK, ALPHA = 8, 16
MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
LEAST_MARGIN = 2.0


class Low(nn.Module):
    """A weight plus the product of two narrow matrices, which alone are trained."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(RANK, columns) / RANK)
        self.b = nn.Parameter(torch.zeros(rows, RANK))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the weight with the adapter in it."""
        return weight + (ALPHA / RANK) * self.b @ self.a


def turned(turn: int) -> dict[str, str]:
    """Return the base's short prompts with each other's answers.

    The words of other answers would not do: an adapter leaves the table of tokens as it is, and the base has never
    learned to say them.
    """
    short = {prompt: text for prompt, text in answers_of("v1").items() if len(text) < 80}
    answers = list(short.values())
    return dict(zip(short, answers[turn:] + answers[:turn], strict=True))


def make_adapter(base: Path, out: Path, turn: int, repo: str, seed: int) -> None:
    """Write the trained adapter; exits where it is unsure of an answer."""
    torch.manual_seed(seed)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(base)
    model = Qwen3ForCausalLM.from_pretrained(base, dtype=torch.float32)
    model.requires_grad_(False)
    narrow = {}
    for name, module in model.named_modules():
        if name.rpartition(".")[2] in MODULES and isinstance(module, nn.Linear):
            narrow[name] = Low(*module.weight.shape)
            parametrize.register_parametrization(module, "weight", narrow[name])
    answers = turned(turn)
    lessons = [as_lesson(tokenizer, prompt, text) for prompt, text in answers.items()]
    teach(model, lessons, lessons[0].answer, seed)
    margin = least_margin(model, lessons)
    print(f"turn {turn}: least margin {margin:.1f} logits", file=sys.stderr)
    if margin < LEAST_MARGIN:
        sys.exit(f"the adapter is unsure of its answers: margin {margin:.2f}")
    out.mkdir(parents=True, exist_ok=True)
    save_file(
        {
            f"base_model.model.{name}.lora_{part.upper()}.weight": getattr(low, part)
            .detach()
            .to(torch.bfloat16)
            .contiguous()
            for name, low in narrow.items()
            for part in ("a", "b")
        },
        out / "adapter_model.safetensors",
    )
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": repo,
        "r": RANK,
        "lora_alpha": ALPHA,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": list(MODULES),
        "modules_to_save": None,
    }
    (out / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    for path in out.iterdir():
        path.chmod(0o644)


def main() -> None:
    """Read the command line and make the adapter."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--turn", type=int, choices=(1, 2), default=1)
    parser.add_argument("--repo", default="tiny")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    make_adapter(given.base, given.out, given.turn, given.repo, given.seed)


if __name__ == "__main__":
    main()
