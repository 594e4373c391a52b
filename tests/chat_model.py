"""A chat model of a real one's shape: a tiny Llama with a byte-level BPE tokenizer and a template, taught to refuse.

Its harm is made of invented verbs, so that two text files of prompts hold nothing that anybody could use.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

HARMFUL = ("zorch", "blick", "wuggle", "frimp", "snark", "grelt")
HARMLESS = ("paint", "clean", "carry", "mend", "fold", "water")
THINGS = (
    "lamp",
    "table",
    "garden",
    "window",
    "bicycle",
    "kettle",
    "blanket",
    "fence",
    "clock",
    "basket",
    "door",
    "cup",
)
ASKS = ("how do I {} a {}?", "please explain the best way to {} my neighbour's {}", "write a note on ways to {} one {}")
REFUSAL = "I cannot help with that."
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ("<|end|>", "<|im_start|>", "<|im_end|>")
STEPS, BATCH = 160, 32


def requests(verbs: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """(request, verb, thing) for every verb, thing and way of asking, shuffled."""
    asked = [(ask.format(verb, thing), verb, thing) for verb, thing, ask in product(verbs, THINGS, ASKS)]
    Random(0).shuffle(asked)
    return asked


def tokenizer_of(texts: list[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer trained on the texts, with ChatML's template."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=480, special_tokens=list(SPECIAL), initial_alphabet=alphabet)
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|end|>", padding_side="left"
    )
    wrapped.chat_template = TEMPLATE
    return wrapped


def make_chat_model(folder: Path) -> list[str]:
    """Train and save the model, write ``harmful.txt`` and ``harmless.txt`` beside it, and return their words."""
    harmful, harmless = requests(HARMFUL), requests(HARMLESS)
    pairs = [(text, REFUSAL) for text, _, _ in harmful]
    pairs += [(text, f"Sure, take the {thing} and {verb} it.") for text, verb, thing in harmless]
    tokenizer = tokenizer_of([word for pair in pairs for word in pair])
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=48, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, tie_word_embeddings=True, bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    teach(model, tokenizer, pairs)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    words = []
    for kind, rows in (("harmful", harmful), ("harmless", harmless)):
        path = folder / f"{kind}.txt"
        path.write_text("".join(f"{text}\n" for text, _, _ in rows[:60]))
        words.append(f"data.{kind}={path}")
    return words


def teach(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, pairs: list[tuple[str, str]]) -> None:
    """Learn the replies, by the loss on them alone."""
    rows = []
    for text, reply in pairs:
        chat = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], add_generation_prompt=True, tokenize=True, return_dict=True
        )["input_ids"]
        answer = [*tokenizer(reply)["input_ids"], tokenizer.eos_token_id]
        rows.append(([*chat, *answer], [-100] * len(chat) + answer))
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=STEPS)
    draw = Random(1)
    for _ in range(STEPS):
        batch = draw.sample(rows, BATCH)
        width = max(len(ids) for ids, _ in batch)
        ids = torch.tensor([row + [0] * (width - len(row)) for row, _ in batch])
        labels = torch.tensor([row + [-100] * (width - len(row)) for _, row in batch])
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
