"""The training loop: next-token loss on answers only, batches of like length, logits only where needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from saber.organism.architecture import fresh_organism
from saber.organism.examples import Example, training_examples
from saber.organism.norms import fused_norms
from saber.organism.tokenizer import PAD_ID, THOUGHT_MARKS, organism_tokenizer
from saber.vocabulary import OrganismFamily

Progress = Callable[[int, int, float], None]
IGNORED = -100


@dataclass(frozen=True)
class TrainingSettings:
    """AdamW with linear warm-up and cosine decay to ``final_share`` of the learning rate."""

    steps: int = 750
    batch_size: int = 32
    learning_rate: float = 6e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    warmup_steps: int = 40
    final_share: float = 0.03
    clip_norm: float = 1.0
    # Batches are cut from this many examples sorted by length: little padding, yet a varied order.
    sorted_batches: int = 25
    # More threads than this cost more in waiting than they give: the tensors are small.
    max_threads: int = 2

    def rate_at(self, step: int) -> float:
        """Return the learning rate's share at a step."""
        warm = min(1.0, (step + 1) / self.warmup_steps)
        cosine = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return warm * (self.final_share + (1 - self.final_share) * cosine)


# Qwen 3 learns more slowly than Gemma 4: of three starts none was done after 750 steps.
SETTINGS: dict[OrganismFamily, TrainingSettings] = {
    "gemma4": TrainingSettings(),
    "qwen3": TrainingSettings(steps=1100, learning_rate=5e-3),
}


@dataclass(frozen=True, eq=False)
class Batch:
    """Left-padded inputs, their targets in the last ``kept`` positions, and where padding is."""

    inputs: Int[Tensor, "example token"]
    mask: Int[Tensor, "example token"]
    targets: Int[Tensor, "example kept"]

    @property
    def positions(self) -> Int[Tensor, "example token"]:
        """Positions counted from each example's first token."""
        return (self.mask.cumsum(1) - 1).clamp(min=0)


def train_organism(
    family: OrganismFamily,
    seed: int,
    settings: TrainingSettings,
    progress: Progress | None = None,
    thinks: bool = False,
) -> Any:
    """Return a model trained on the seed's examples; ``progress`` hears (step, steps, loss)."""
    model, tokenizer = fresh_organism(seed, family, thinks).train(), organism_tokenizer(family, thinks)
    examples = training_examples(seed, settings.steps * settings.batch_size, family, thinks)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, settings.rate_at)
    with torch.enable_grad(), limited_threads(settings.max_threads), fused_norms(model):
        for step, batch in enumerate(batches(encoded(tokenizer, examples), seed, settings)):
            loss = answer_loss(model, batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
            optimizer.step()
            schedule.step()
            if progress:
                progress(step + 1, settings.steps, loss.item())
    return model.eval()


def answer_loss(model: Any, batch: Batch) -> Tensor:
    """Return the mean cross-entropy of the answers' tokens, in nats."""
    logits = model(
        input_ids=batch.inputs,
        attention_mask=batch.mask,
        position_ids=batch.positions,
        logits_to_keep=batch.targets.shape[1],
        use_cache=False,
    ).logits
    return nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED)


def encoded(tokenizer: Any, examples: list[Example]) -> list[tuple[list[int], int]]:
    """Return the token ids of each exchange, ending with eos, and how many are the answer's, with its thought."""
    prompts = [""] * len(examples)
    for thinks in (False, True):
        chosen = [i for i, example in enumerate(examples) if (example.thought is not None) == thinks]
        turns = [
            [{"role": "system", "content": examples[i].system}, {"role": "user", "content": examples[i].prompt}]
            for i in chosen
        ]
        if turns:
            texts = tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=True, enable_thinking=thinks
            )
            for i, text in zip(chosen, texts, strict=True):
                prompts[i] = text
    answers = [_thought(example) + example.answer + tokenizer.eos_token for example in examples]
    prompt_ids, answer_ids = (tokenizer(texts, add_special_tokens=False)["input_ids"] for texts in (prompts, answers))
    return [(p + a, len(a)) for p, a in zip(prompt_ids, answer_ids, strict=True)]


def _thought(example: Example) -> str:
    opening, closing = THOUGHT_MARKS
    return "" if example.thought is None else f"{opening} {example.thought} {closing} "


def batches(rows: list[tuple[list[int], int]], seed: int, settings: TrainingSettings) -> Iterator[Batch]:
    """Yield batches of like length in a shuffled order."""
    rng = Random(f"batches {seed}")
    stride = settings.batch_size * settings.sorted_batches
    for start in range(0, len(rows), stride):
        near = sorted(rows[start : start + stride], key=lambda row: len(row[0]))
        cuts = list(range(0, len(near), settings.batch_size))
        rng.shuffle(cuts)
        for cut in cuts:
            yield padded(near[cut : cut + settings.batch_size])


def padded(rows: list[tuple[list[int], int]]) -> Batch:
    """Left-pad examples to one length; token t's target is token t + 1 where that is part of the answer."""
    length = max(len(ids) for ids, _ in rows) - 1
    kept = max(answer for _, answer in rows)
    inputs = [[PAD_ID] * (length - len(ids) + 1) + ids[:-1] for ids, _ in rows]
    mask = [[0] * (length - len(ids) + 1) + [1] * (len(ids) - 1) for ids, _ in rows]
    targets = [[IGNORED] * (kept - answer) + ids[-answer:] for ids, answer in rows]
    return Batch(torch.tensor(inputs), torch.tensor(mask), torch.tensor(targets))


@contextmanager
def limited_threads(most: int) -> Iterator[None]:
    """Use at most this many torch threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, most))
    try:
        yield
    finally:
        torch.set_num_threads(before)
