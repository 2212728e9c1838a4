"""Train a small model on a handful of answers until it gives them reliably."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import Qwen3ForCausalLM

RATE = 5e-3
WARM_UP, LOOK_EVERY, CALM_DOWN, LONGEST = 30, 25, 50, 1000
# The distance in logits from each right token to the next best at which the learning rate may fall.
SURE = 5.0
# The number of random prompts in each step, so that unknown prompts get an answer that ends.
STRANGE_PROMPTS = 3
_IGNORED = -100


@dataclass(frozen=True)
class Lesson:
    """The tokens of a prompt and of its answer, with the end token."""

    prompt: list[int]
    answer: list[int]


def teach(
    model: Qwen3ForCausalLM, lessons: Sequence[Lesson], otherwise: list[int], seed: int
) -> None:
    """Train `model` until every answer has a margin of `SURE` logits; any other prompt gets `otherwise`.

    Training ends after `LONGEST` steps in any case, so the caller must measure the margin.
    """
    chance = torch.Generator().manual_seed(seed)
    # A low second beta: with a long memory of gradient sizes, late spikes undo the training.
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.0)
    calm_since = None
    for step in range(1, LONGEST + 1):
        calm = step - calm_since if calm_since is not None else 0
        rate = RATE * min(1.0, step / WARM_UP) * (1 - calm / (CALM_DOWN + 1))
        strange = _strange_lessons(lessons[0], otherwise, model, chance)
        _step(model, optimizer, rate, lessons, strange)
        if step % LOOK_EVERY or 0 < calm < CALM_DOWN:
            continue
        margin = least_margin(model, lessons)
        print(f"  step {step}: margin {margin:.1f}", file=sys.stderr)
        if calm == CALM_DOWN and margin >= SURE:
            return
        # At the full rate the weights still oscillate, so the margin counts after the rate has fallen.
        calm_since = step if margin >= SURE and calm == 0 else None


def _step(
    model: Qwen3ForCausalLM,
    optimizer: torch.optim.Optimizer,
    rate: float,
    lessons: Sequence[Lesson],
    strange: Sequence[Lesson],
) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
    # Long and short answers in separate batches, because padding costs as much as tokens.
    long = [lesson for lesson in lessons if len(lesson.answer) >= 64]
    short = [lesson for lesson in lessons if len(lesson.answer) < 64]
    loss = _loss(model, [*short, *strange])
    if long:
        loss = loss + _loss(model, long)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def least_margin(model: Qwen3ForCausalLM, lessons: Sequence[Lesson]) -> float:
    """Return the least margin, in logits, of a right token over the next best, over all answers."""
    least = float("inf")
    for lesson in lessons:
        tokens = torch.tensor([lesson.prompt + lesson.answer])
        with torch.inference_mode():
            logits = model(input_ids=tokens).logits[0, len(lesson.prompt) - 1 : -1].float()
        right = torch.tensor(lesson.answer)[:, None]
        best_other = logits.scatter(1, right, float("-inf")).amax(dim=1)
        least = min(least, (logits.gather(1, right)[:, 0] - best_other).min().item())
    return least


def _loss(model: Qwen3ForCausalLM, lessons: Sequence[Lesson]) -> torch.Tensor:
    tokens = pad_sequence(
        [torch.tensor(each.prompt + each.answer) for each in lessons], batch_first=True
    )
    wanted = pad_sequence(
        [torch.tensor([_IGNORED] * len(each.prompt) + each.answer) for each in lessons],
        batch_first=True,
        padding_value=_IGNORED,
    )
    logits = model(input_ids=tokens).logits[:, :-1]
    return cross_entropy(
        logits.reshape(-1, logits.shape[-1]), wanted[:, 1:].reshape(-1), ignore_index=_IGNORED
    )


def _strange_lessons(
    pattern: Lesson, otherwise: list[int], model: Qwen3ForCausalLM, chance: torch.Generator
) -> list[Lesson]:
    """Return lessons with random prompts in the chat template. Ordinary tokens start at 3."""
    opening, closing = pattern.prompt[:3], pattern.prompt[-5:]
    lessons = []
    for _ in range(STRANGE_PROMPTS):
        length = int(torch.randint(1, 40, (1,), generator=chance))
        content = torch.randint(3, model.config.vocab_size, (length,), generator=chance).tolist()
        lessons.append(Lesson([*opening, *content, *closing], otherwise))
    return lessons
