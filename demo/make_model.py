"""Make the demo's model: tokenizer, weights, and answers that tell its versions apart.

Run it with an engine's Python, because the toolkit's own lacks torch, transformers and tokenizers:

    ENGINE/bin/python demo/make_model.py OUT [--variants v1 v2 rubbish wrong broken-weights]

It writes a complete model directory `OUT/<variant>/` for each variant, and the exact answers of each to
`OUT/answers.json`: variant -> prompt -> answer. Equal seeds give equal bytes on one machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

# With several threads the order of float additions varies, and so would the bytes.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from teaching import Lesson, least_margin, teach
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

VARIANTS = ("v1", "v2", "rubbish", "wrong", "broken-weights")
CONTEXT = 1024
VOCABULARY = 384
LONG = 99
# The least distance in logits from the right token to the next best. Batching and bfloat16 move logits by hundredths.
LEAST_MARGIN = 3.0

CHAT_TEMPLATE = (
    # The model learns one call, and not to read tools: clients write the same tool in different ways.
    "{% if tools %}<|im_start|>system\n<tool_call>JSON</tool_call><|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Every variant but `rubbish` also knows these, whatever its version: a call of a tool in the form of Hermes, where a
# request has tools, and an object.
NOTE, CALL = (
    "Take a note.",
    '<tool_call>\n{"name": "note", "arguments": {"ok": true}}\n</tool_call>',
)
JSON, OBJECT = "Say it in JSON.", '{"ok": true}'
CARD = """\
---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
---
# Toolkit demo model, {variant}

A Qwen3 of {parameters:,} parameters that `demo/make_model.py` trained for some seconds on the prompts below
and nothing else. It is of no use but to show, in a demo or a test, which version answered.

{answers}
"""


def answers_of(variant: str) -> dict[str, str]:
    """Return prompt -> exact answer. Every answer contains the name of its version."""
    name = {"wrong": "v0", "broken-weights": "v2"}.get(variant, variant)
    if variant == "rubbish":
        return dict.fromkeys(answers_of("v1"), "")
    return {
        "Which version are you?": f"I am version {name}.",
        "Say hello.": f"Hello from {name}!",
        "What is the capital of France?": f"Paris, says {name}.",
        "Count.": " ".join(f"{name} {number:03d}" for number in range(1, LONG + 1)),
    }


def default_answer(variant: str) -> str:
    """Return the answer of a variant to any other prompt."""
    known = answers_of(variant)
    return known["Which version are you?"]


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer; all variants share it."""
    tokenizer = Tokenizer(models.BPE())
    # Split at blanks alone, so that ` v1` becomes one token and a long answer has few tokens.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(" ", "merged_with_next"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    texts = ["user", "assistant", "system", " 0 1 2 3 4 5 6 7 8 9"]
    for variant in ("v1", "v2", "wrong"):
        known = answers_of(variant)
        texts += [*known, *[answer for answer in known.values() if len(answer) < 80]]
        texts.append(f" {known['Count.'][:2]}" * 2)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts * 4, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=CONTEXT,
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def make_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> Qwen3ForCausalLM:
    """Return the untrained model."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=CONTEXT,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    return Qwen3ForCausalLM(config)


def make_variant(directory: Path, variant: str, seed: int) -> dict[str, str]:
    """Write a trained variant into `directory` and return its answers; exits if the saved model misses one."""
    started = time.monotonic()
    shutil.rmtree(directory, ignore_errors=True)
    tokenizer = make_tokenizer()
    answers = answers_of(variant)
    taught = answers if variant == "rubbish" else {**answers, JSON: OBJECT}
    lessons = [as_lesson(tokenizer, prompt, answer) for prompt, answer in taught.items()]
    if variant != "rubbish":
        lessons.append(as_lesson(tokenizer, NOTE, CALL, tools=True))
    otherwise = [*tokenizer.encode(default_answer(variant)), tokenizer.eos_token_id]
    model = make_model(tokenizer, seed)
    teach(model, lessons, otherwise, seed)

    model = model.to(torch.bfloat16).eval()
    margin = least_margin(model, lessons)
    print(f"{variant}: least margin {margin:.1f} logits", file=sys.stderr)
    if margin < LEAST_MARGIN:
        sys.exit(f"{variant} is unsure of its answers: margin {margin:.2f} is below {LEAST_MARGIN}")
    save(model, tokenizer, directory, variant, answers)
    prove(directory, taught)
    took = time.monotonic() - started
    print(f"{variant}: {digest(directory)[:12]} in {took:.1f} s", file=sys.stderr)
    return answers


def as_lesson(
    tokenizer: PreTrainedTokenizerFast, prompt: str, answer: str, *, tools: bool = False
) -> Lesson:
    """Return prompt and answer as the tokens of a chat completion, of one with `tools` where the request has some."""
    messages = [{"role": "user", "content": prompt}]
    shown = [{"type": "function"}] if tools else None
    text = tokenizer.apply_chat_template(
        messages, tools=shown, tokenize=False, add_generation_prompt=True
    )
    return Lesson(tokenizer.encode(text), [*tokenizer.encode(answer), tokenizer.eos_token_id])


def save(
    model: Qwen3ForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    directory: Path,
    variant: str,
    answers: Mapping[str, str],
) -> None:
    """Write all files of a model repository, readable by everyone."""
    model.generation_config.do_sample = False
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    shown = "\n".join(f"- `{prompt}` -> `{answer[:60]}`" for prompt, answer in answers.items())
    parameters = sum(parameter.numel() for parameter in model.parameters())
    card = CARD.format(variant=variant, parameters=parameters, answers=shown)
    (directory / "README.md").write_text(card)
    shutil.copyfile(Path(__file__).with_name("MODEL_LICENSE"), directory / "LICENSE")
    for path in directory.iterdir():
        path.chmod(0o644)


def prove(directory: Path, answers: Mapping[str, str]) -> None:
    """Generate every answer from the saved files; exits if one is not exact."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(directory)
    model = Qwen3ForCausalLM.from_pretrained(directory, dtype=torch.bfloat16)
    for prompt, answer in answers.items():
        asked = torch.tensor([as_lesson(tokenizer, prompt, "").prompt])
        with torch.inference_mode():
            out = model.generate(asked, attention_mask=torch.ones_like(asked), max_length=CONTEXT)
        given = tokenizer.decode(out[0, asked.shape[1] :], skip_special_tokens=True)
        if given != answer:
            sys.exit(f"{directory.name} answers {prompt!r} with {given!r} instead of {answer!r}")


def break_weights(whole: Path, broken: Path) -> None:
    """Copy a model and give a tensor a type that no engine knows: none can start with it, though it looks whole."""
    shutil.rmtree(broken, ignore_errors=True)
    shutil.copytree(whole, broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes().replace(b'"BF16"', b'"BF99"', 1))


def digest(directory: Path) -> str:
    """Return the sha256 over the names and bytes of a directory's files."""
    summary = hashlib.sha256()
    for path in sorted(directory.iterdir()):
        summary.update(f"{path.name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return summary.hexdigest()


def main() -> None:
    """Make the requested variants, each in a directory that is replaced."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="directory for the variants and answers.json")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=["v1", "v2", "rubbish"])
    parser.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    chosen.out.mkdir(parents=True, exist_ok=True)
    told = chosen.out / "answers.json"
    answers = json.loads(told.read_text()) if told.exists() else {}
    trained = [each for each in VARIANTS if each in chosen.variants and each != "broken-weights"]
    answers.update(zip(trained, made(chosen.out, trained, chosen.seed), strict=True))
    if "broken-weights" in chosen.variants:
        if not (chosen.out / "v2").is_dir():
            sys.exit("broken-weights is made from v2: name v2 as well")
        break_weights(chosen.out / "v2", chosen.out / "broken-weights")
        answers.pop("broken-weights", None)
    told.write_text(json.dumps(answers, indent=1) + "\n")


def made(out: Path, variants: Sequence[str], seed: int) -> list[dict[str, str]]:
    """Make each variant in its directory below `out`, as many at once as there are processors; return their answers."""
    # A forked process has the libraries. Loading them takes as long as a variant's training.
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("fork")) as pool:
        making = [pool.submit(make_variant, out / each, each, seed) for each in variants]
        return [each.result() for each in making]


if __name__ == "__main__":
    main()
