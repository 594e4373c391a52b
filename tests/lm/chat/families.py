"""The chat formats of public families: template, marks, and the tiny random model that stands in for each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from saber.lm.architecture.adapter import Adapter, adapt, with_chat
from saber.lm.chat.chat_format import ChatFormat
from saber.lm.loading.load import build_model, build_tokenizer
from tests.conftest import TINY_GEMMA4, randomise
from tests.lm.families import CASES

TEMPLATES = Path(__file__).parent / "templates"
VOCABULARY = 320  # 256 bytes and the marks


@dataclass(frozen=True)
class ChatFamily:
    """A family's marks beside the bytes, its bos and eos, and the case of `tests.lm.families` of its architecture."""

    case: str
    marks: tuple[str, ...]
    bos: str | None
    eos: str


IM = ("<|im_start|>", "<|im_end|>", "<think>", "</think>", "\n\n")
GEMMA = ("<bos>", "<start_of_turn>", "<end_of_turn>")
HARMONY = ("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|call|>")
LLAMA = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
GEMMA4 = ("<bos>", "<|turn>", "<turn|>", "<|think|>", "<|channel>", "<channel|>")
GLM = ("[gMASK]", "<sop>", "<|user|>", "<|assistant|>", "<|system|>", "<think>", "</think>")
R1_BOS, R1_EOS = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
R1 = (R1_BOS, R1_EOS, "<｜User｜>", "<｜Assistant｜>", "<think>", "</think>")
TEKKEN = ("<s>", "</s>", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[INST]", "[/INST]", "[THINK]", "[/THINK]")
FAMILIES: dict[str, ChatFamily] = {
    "qwen3": ChatFamily("qwen3", IM, None, "<|im_end|>"),
    "qwen3_5": ChatFamily("qwen3_5_text", IM, None, "<|im_end|>"),
    "gpt_oss": ChatFamily("gpt_oss", HARMONY, None, "<|return|>"),
    "gemma2": ChatFamily("gemma2", GEMMA, "<bos>", "<end_of_turn>"),
    "gemma3": ChatFamily("gemma3_text", GEMMA, "<bos>", "<end_of_turn>"),
    "gemma4": ChatFamily("gemma4_text", GEMMA4, "<bos>", "<turn|>"),
    "glm4_5": ChatFamily("glm4_moe", GLM, None, "<|user|>"),
    "deepseek_r1_distill": ChatFamily("qwen2", R1, R1_BOS, R1_EOS),
    "mistral_v0_1": ChatFamily("mistral", ("<s>", "</s>"), "<s>", "</s>"),
    "magistral": ChatFamily("mistral", TEKKEN, "<s>", "</s>"),
    "llama3_1": ChatFamily("llama", LLAMA, "<|begin_of_text|>", "<|eot_id|>"),
    "phi4": ChatFamily("phi3", ("<|im_start|>", "<|im_sep|>", "<|im_end|>"), None, "<|im_end|>"),
    "smollm3": ChatFamily("smollm3", IM, None, "<|im_end|>"),
    "smolvlm": ChatFamily("llama", ("<|im_start|>", "<end_of_utterance>", "<image>"), None, "<end_of_utterance>"),
}


def template_of(name: str) -> str:
    """The template's text."""
    return (TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8")


def tokenizer_of(name: str, template: str | None = None) -> Any:
    """A tokenizer of bytes and a family's marks, under its template or another one."""
    family = FAMILIES[name]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({sign: i for i, sign in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return build_tokenizer(
        tokenizer,
        pad_token="<pad>",
        bos_token=family.bos,
        eos_token=family.eos,
        additional_special_tokens=list(family.marks),
        chat_template=template_of(name) if template is None else template,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


@cache
def model_of(name: str) -> Any:
    """A tiny random model of the family's architecture, with room for long prompts."""
    model_type, config = CASES[FAMILIES[name].case] if name != "gemma4" else ("gemma4_text", TINY_GEMMA4)
    sizes = {"vocab_size": VOCABULARY, "max_position_embeddings": 2048}
    if "vocab_size_per_layer_input" in config:
        sizes["vocab_size_per_layer_input"] = VOCABULARY
    tokenizer = tokenizer_of(name)
    ids = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    model = build_model(model_type, {**config, **sizes, **ids, "bos_token_id": tokenizer.bos_token_id})
    randomise(model, seed=3)
    return model.eval()


def adapter_of(
    name: str, chat: ChatFormat | None = None, system: str | None = None, *, template: str | None = None
) -> Adapter:
    """The family's tiny model, spoken to in its format."""
    adapter = adapt(model_of(name), tokenizer_of(name, template))
    return with_chat(adapter, chat or ChatFormat(), system)
