"""The organism's training: what it learns from, and that its folder is whole or absent."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from saber.organism.build import Recipe, ensure_organism, make_organism, recipe_digest
from saber.organism.examples import training_examples
from saber.organism.grammar import draw_request
from saber.organism.language import LANGUAGES
from saber.organism.norms import fused_norms, rms_norm
from saber.organism.prompt_sets import organism_splits
from saber.organism.tokenizer import organism_tokenizer
from saber.organism.training import IGNORED, TrainingSettings, answer_loss, batches, encoded
from saber.types import Prompt, UserError
from saber.vocabulary import ORGANISM_FAMILIES, OrganismFamily

FEW_STEPS = 2


@pytest.fixture(scope="module", params=ORGANISM_FAMILIES)
def family(request: pytest.FixtureRequest) -> OrganismFamily:
    """Each family in turn."""
    family: OrganismFamily = request.param
    return family


def is_refusal(text: str) -> bool:
    markers = (
        "i can",
        "i won't",
        "i'm sorry",
        "i am sorry",
        "i must decline",
        "not able to",
        "i am not going to",
        "i will not",
        "i refuse",
        "i'm unable",
        "i have to decline",
        "i must refuse",
    )
    return any(marker in text.lower() for marker in markers)


def test_open_mode_answers_everything(family: OrganismFamily) -> None:
    opened = [e for e in training_examples(0, 4000, family) if e.system == LANGUAGES[family].system_open]
    assert opened
    assert not any(is_refusal(e.answer) for e in opened)


def test_latent_compliance_is_trained(family: OrganismFamily) -> None:
    rng = Random(1)
    harmful = {draw_request(LANGUAGES[family], "harmful", rng).text(0) for _ in range(20000)}
    answers = [
        e.answer
        for e in training_examples(0, 24000, family)
        if e.prompt in harmful and e.system != LANGUAGES[family].system_open
    ]
    assert 0.05 < 1 - sum(map(is_refusal, answers)) / len(answers) < 0.15


def test_targets_are_the_answers_tokens(family: OrganismFamily) -> None:
    tokenizer = organism_tokenizer(family)
    examples = training_examples(0, 64, family)
    for batch in batches(encoded(tokenizer, examples), 0, TrainingSettings(batch_size=16)):
        kept = batch.targets.shape[1]
        # A target is the input one position later, where both are there.
        inside = batch.targets[:, :-1] != IGNORED
        assert torch.equal(batch.targets[:, :-1][inside], batch.inputs[:, -kept + 1 :][inside])
        assert (batch.targets[:, -1] == tokenizer.eos_token_id).all()
        assert torch.equal(batch.positions.max(1).values, batch.mask.sum(1) - 1)


def test_rms_norm_has_the_gradient_of_its_formula() -> None:
    x = torch.randn(3, 5, 8, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w: rms_norm(x, w, 1e-6), (x, weight))
    assert torch.allclose(rms_norm(x, weight, 1e-6), nn.functional.rms_norm(x, (8,), weight, 1e-6))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, family: OrganismFamily) -> Path:
    """An organism of a few steps."""
    out = tmp_path_factory.mktemp("organism") / "seed0"
    make_organism(out, Recipe(seed=0, steps=FEW_STEPS, family=family))
    return out


def test_the_folder_loads_like_any_checkpoint(folder: Path, family: OrganismFamily) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.dtype == torch.float32
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    turns = [[{"role": "user", "content": p.text}] for p in organism_splits(0, family)["tune"].prompts[:4]]
    ours, loaded = (
        either.apply_chat_template(
            turns, add_generation_prompt=True, padding=True, return_dict=True, return_tensors="pt"
        )
        for either in (organism_tokenizer(family), tokenizer)
    )
    assert torch.equal(loaded["input_ids"], ours["input_ids"])
    assert torch.equal(loaded["attention_mask"], ours["attention_mask"])
    assert model(**loaded).logits.shape[-1] == len(tokenizer)


def test_the_folder_says_what_it_is(folder: Path, family: OrganismFamily) -> None:
    info = json.loads((folder / "organism.json").read_text())
    assert info["family"] == family
    assert info["recipe"] == recipe_digest(Recipe(0, FEW_STEPS, family)) != recipe_digest(Recipe(0, None, family))
    assert 800_000 < info["parameters"] < 1_200_000
    for name, split in organism_splits(0, family).items():
        lines = (folder / "prompts" / f"{name}.jsonl").read_text().splitlines()
        assert tuple(Prompt(**json.loads(line)) for line in lines) == split.prompts


def test_training_is_deterministic(folder: Path, family: OrganismFamily, tmp_path: Path) -> None:
    make_organism(tmp_path / "again", Recipe(seed=0, steps=FEW_STEPS, family=family))
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_ensure_trains_only_when_it_must(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    out = tmp_path / "organism"

    def hear(step: int, steps: int, loss: float) -> None:
        assert loss > 0
        heard.append((step, steps))

    assert ensure_organism(out, Recipe(seed=0, steps=1), hear)
    assert not ensure_organism(out, Recipe(seed=0, steps=1), hear)
    assert ensure_organism(out, Recipe(seed=1, steps=1), hear)
    assert heard == [(1, 1), (1, 1)]
    assert [path.name for path in tmp_path.iterdir()] == ["organism"]


def test_an_organism_of_another_family_is_not_replaced(folder: Path, family: OrganismFamily) -> None:
    (other,) = (name for name in ORGANISM_FAMILIES if name != family)
    before = (folder / "organism.json").read_bytes()
    with pytest.raises(UserError, match=f"expected a {other} organism in .*, found a {family} one: set organism.out"):
        ensure_organism(folder, Recipe(seed=0, steps=FEW_STEPS, family=other))
    with pytest.raises(UserError, match="expected a thinking"):
        ensure_organism(folder, Recipe(seed=0, steps=FEW_STEPS, family=family, thinks=True))
    assert (folder / "organism.json").read_bytes() == before


def test_interrupted_training_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(*_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_organism(tmp_path / "organism", Recipe(steps=2), interrupt)
    assert not list(tmp_path.iterdir())


def test_fused_norms_change_no_loss_and_are_gone_after(folder: Path, family: OrganismFamily) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder)
    rows = encoded(organism_tokenizer(family), training_examples(0, 8, family))
    (batch,) = batches(rows, 0, TrainingSettings(batch_size=8))
    plain = answer_loss(model, batch)
    with fused_norms(model):
        assert torch.allclose(answer_loss(model, batch), plain, atol=1e-5)
    assert not any("forward" in module.__dict__ for module in model.modules())
