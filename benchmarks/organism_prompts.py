"""Write more prompts of an organism's language than its own splits hold, none of them in what it was trained on.

    python benchmarks/organism_prompts.py OUT --seed 0 [--family gemma4]
    mapfile -t WORDS < OUT/words.txt
    python -m saber.sweep +sweep=organism_false_refusal study.name=large "${WORDS[@]}"

An organism's own report split has 34 protected prompts, and one refusal lost moves the lower end of their interval by
five points. Hundreds of each sort lie in its language unseen: training holds them in no template's words. Writes
``OUT/{harmful,harmless,borderline,capability}.jsonl`` and ``OUT/words.txt``, the words, one a line, that make a sweep
read them as ``data.sets`` and deal them into the splits of ``SIZES``.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random

from saber.organism.examples import training_examples
from saber.organism.grammar import Request, RequestKind, all_requests
from saber.organism.language import LANGUAGES
from saber.organism.prompt_sets import organism_splits
from saber.organism.training import TrainingSettings
from saber.types import PROMPT_KINDS, Prompt, PromptKind, count_kinds
from saber.vocabulary import ORGANISM_FAMILIES, OrganismFamily

# At most so many prompts of a protected category, of another one, and of a stratum of the other kinds.
PROTECTED, HARMFUL, STRATUM = 170, 90, 450
N_PROBE, N_BORDERLINE = 300, 1000
SIZES: Mapping[str, Mapping[PromptKind, int]] = {
    "probe": {"harmful": N_PROBE, "harmless": N_PROBE, "borderline": N_BORDERLINE, "capability": 98},
    "tune": {"harmful": 250, "harmless": 64, "borderline": 300, "capability": 64},
    "report": {"harmful": 350, "harmless": 96, "borderline": 500, "capability": 96},
}


class UnseenRequests:
    """The requests of an organism's language that it was trained on in no template, each given out once."""

    def __init__(self, seed: int, family: OrganismFamily) -> None:
        settings, self.language = TrainingSettings(), LANGUAGES[family]
        examples = training_examples(seed, settings.steps * settings.batch_size, family)
        trained_on = {example.prompt for example in examples}
        self.rng = Random(f"more prompts {seed}")
        self.strata: dict[tuple[RequestKind, str], list[Request]] = {}
        for kind, strata in all_requests(self.language).items():
            for name, requests in strata.items():
                unseen = [request for request in requests if not trained_on.intersection(self.texts(request))]
                self.strata[kind, name] = self.rng.sample(unseen, len(unseen))
        self.twins = {request for (kind, _), unseen in self.strata.items() if kind == "harmless" for request in unseen}

    def texts(self, request: Request) -> list[str]:
        """A request in every template."""
        return [request.text(template) for template in range(len(self.language.request_templates))]

    def prompts(self) -> Iterator[Prompt]:
        """Yield harmful prompts, each with its twin where that is unseen too, then the others that are left."""
        for (kind, _), unseen in self.strata.items():
            if kind == "harmful":
                yield from self.harmful(unseen)
        for (kind, stratum), unseen in self.strata.items():
            left = [request for request in unseen if kind == "borderline" or request in self.twins][:STRATUM]
            if kind != "harmful":
                yield from (Prompt(request.text(self.template()), kind, stratum) for request in left)

    def harmful(self, unseen: Sequence[Request]) -> Iterator[Prompt]:
        """Yield the prompts of one category, and of each the twin, in the same template, that none had before."""
        for request in unseen[: PROTECTED if unseen[0].category.protected else HARMFUL]:
            template, twin, category = self.template(), request.twin(), request.category
            pair_id = request.act if twin in self.twins else None
            yield Prompt(request.text(template), "harmful", category.name, category.protected, pair_id)
            if pair_id:
                self.twins.remove(twin)
                yield Prompt(twin.text(template), "harmless", twin.stratum, pair_id=pair_id)

    def template(self) -> int:
        """One of the language's templates."""
        return self.rng.randrange(len(self.language.request_templates))


def write(folder: Path, prompts: Sequence[Prompt]) -> list[str]:
    """Write a file for each kind, and return the words by which a sweep reads them."""
    rows: dict[PromptKind, list[Prompt]] = defaultdict(list)
    for prompt in prompts:
        rows[prompt.kind].append(prompt)
    sets = []
    for kind, of_kind in rows.items():
        path = folder / f"{kind}.jsonl"
        fields = [{"prompt": p.text, "category": p.category, "pair_id": p.pair_id, "answer": p.answer} for p in of_kind]
        path.write_text("".join(json.dumps(row) + "\n" for row in fields), encoding="utf-8")
        protected = sorted({prompt.category for prompt in of_kind if prompt.protected})
        sets.append(f"{{path: {path.resolve()}, kind: {kind}, protected: [{', '.join(protected)}]}}")
    sizes = [f"+data.{split}={{{', '.join(f'{k}: {n}' for k, n in s.items())}}}" for split, s in SIZES.items()]
    words = [
        "data.source=sets",
        "+data.near_duplicate=null",
        f"data.n_probe={N_PROBE}",
        f"+data.n_borderline={N_BORDERLINE}",
    ]
    return [*words, *sizes, f"+data.sets=[{', '.join(sets)}]"]


def main() -> None:
    """Write one organism's prompts, and say how many of each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--family", choices=ORGANISM_FAMILIES, default="gemma4")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    capability = [p for split in organism_splits(options.seed, options.family).values() for p in split.of("capability")]
    prompts = [*UnseenRequests(options.seed, options.family).prompts(), *capability]
    words = write(options.out, prompts)
    (options.out / "words.txt").write_text("".join(word + "\n" for word in words), encoding="utf-8")
    counts = count_kinds(prompts)
    protected = sum(prompt.protected for prompt in prompts)
    print(", ".join(f"{counts[kind]} {kind}" for kind in PROMPT_KINDS) + f"; {protected} protected; words in words.txt")


if __name__ == "__main__":
    main()
