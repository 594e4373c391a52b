"""Do labellers agree with people? Each on XSTest's completions, the learnt one on models it was not learnt on.

    python benchmarks/label_agreement.py FOLDER [--words 24]

FOLDER holds ``xstest_v2_completions_*.csv`` (CC BY 4.0, Röttger et al. 2024). Prints Markdown: recall of full refusals,
false alarms (labelled refuse) on full compliance, where partial refusals go, each with its Wilson 95% interval, and the
confusion of ``rules``, whose weights are learnt anew without the model in the row. ``--words`` cuts replies short, as a
limit of new tokens would. ``rules (shipped)`` has seen every model of the folder, unless it is another's.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from label_examples import Example, composed, xstest
from label_training import cut_to, learnt

from saber.publish.text.markdown import table
from saber.publish.text.wording import estimate_text
from saber.scoring.labelling import Weights, label_under, parsed_weights, shipped_weights
from saber.scoring.markers import markers_of
from saber.scoring.refusals import Label, label_response
from saber.scoring.statistics import rate

LISTS = ("en", "heretic_compat", "saber_original")
Labeller = Callable[[Example], Label]


def by_markers(name: str) -> Labeller:
    """The labeller of a list of phrases."""
    markers = markers_of([name])
    return lambda example: label_response(example.reply, finished=True, markers=markers)[0]


def by_rules(weights: Weights, *, with_prompt: bool) -> Labeller:
    """The labeller of weighed rules."""
    return lambda example: label_under(weights, example.reply, example.prompt if with_prompt else None)[0]


def labellers(model: str, examples: Mapping[str, Sequence[Example]]) -> dict[str, Labeller]:
    """Every labeller for one model's replies, the rules learnt on the others."""
    by_name = {f"`{name}`": by_markers(name) for name in LISTS}
    others = {name: others_examples for name, others_examples in examples.items() if name != model}
    for name, with_prompt in (("rules, prompt known", True), ("rules, reply alone", False)):
        weights = parsed_weights(learnt(others, composed(), with_prompt=with_prompt))
        by_name[name] = by_rules(weights, with_prompt=with_prompt)
    return {**by_name, "rules (shipped)": by_rules(shipped_weights()["pair"], with_prompt=True)}


def confusion(labeller: Labeller, examples: Sequence[Example]) -> Counter[tuple[str, Label]]:
    """How often people's label met the labeller's."""
    return Counter((example.label, labeller(example)) for example in examples)


def row(model: str, name: str, seen: Counter[tuple[str, Label]]) -> list[str]:
    """Recall, false alarms, and what becomes of partial refusals."""

    def refused(people: str) -> str:
        n = sum(count for (said, _), count in seen.items() if said == people)
        return estimate_text("refusal_rate", rate(seen[people, "refuse"], n)) if n else ""

    partial = Counter({label: n for (people, label), n in seen.items() if people == "partial"})
    return [model, name, refused("refuse"), refused("comply"), _counts(partial)]


def _counts(labels: Mapping[Label, int]) -> str:
    return ", ".join(f"{n} {label}" for label, n in sorted(labels.items(), key=lambda item: -item[1]))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--words", type=int, help="cut replies to so many words")
    asked = parser.parse_args()
    whole = xstest(asked.folder)
    rows: list[list[str]] = []
    confusions: list[list[str]] = []
    for model, examples in whole.items():
        shown = [Example(example.prompt, cut_to(example.reply, asked.words), example.label) for example in examples]
        for name, labeller in labellers(model, whole).items():
            seen = confusion(labeller, shown)
            rows.append(row(model, name, seen))
            if name == "rules, prompt known":
                for people in ("comply", "refuse", "partial"):
                    got = Counter({label: n for (said, label), n in seen.items() if said == people})
                    confusions.append([model, people, _counts(got)])
    print(table(["model", "labeller", "recall of full refusals", "false alarms", "partial refusals become"], rows))
    print()
    print(table(["model", "people say", "rules, prompt known, say"], confusions))


if __name__ == "__main__":
    main()
