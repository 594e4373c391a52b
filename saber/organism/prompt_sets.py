"""The evaluation prompts: three splits that share no content with each other nor with training."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from random import Random

from saber.organism.grammar import Request, RequestKind, all_requests, draw_request
from saber.organism.language import LANGUAGES, Language
from saber.organism.tasks import TASKS, Task, TaskContent, draw_task
from saber.types import SPLIT_NAMES, Prompt, PromptKind, Split, SplitName
from saber.vocabulary import OrganismFamily

Content = Request | TaskContent
MAX_DRAWS = 10_000


@dataclass(frozen=True)
class SplitSize:
    """How many prompts of each kind; the first ``pairs`` harmful ones have harmless twins."""

    harmful: int
    harmless: int
    pairs: int
    borderline: int
    capability: int


SPLIT_SIZES: dict[SplitName, SplitSize] = {
    "probe": SplitSize(harmful=144, harmless=144, pairs=144, borderline=96, capability=98),
    "tune": SplitSize(harmful=96, harmless=64, pairs=32, borderline=64, capability=64),
    "report": SplitSize(harmful=160, harmless=96, pairs=48, borderline=96, capability=96),
}


class _FreshDraw:
    """Draws contents of a language that were never drawn before."""

    def __init__(self, language: Language, rng: Random) -> None:
        self.language = language
        self.rng = rng
        self.used: set[Content] = set()

    def request(self, kind: RequestKind, stratum: str, with_twin: bool = False) -> Request:
        for _ in range(MAX_DRAWS):
            request = draw_request(self.language, kind, self.rng, stratum)
            contents = {request, request.twin()} if with_twin else {request}
            if not contents & self.used:
                self.used |= contents
                return request
        raise RuntimeError(f"expected unused {kind} requests of {stratum}, found none in {MAX_DRAWS} draws")

    def template(self) -> int:
        return self.rng.randrange(len(self.language.request_templates))

    def task(self, name: str) -> Task:
        for _ in range(MAX_DRAWS):
            task = draw_task(self.language, self.rng, name)
            if task.content not in self.used:
                self.used.add(task.content)
                return task
        raise RuntimeError(f"expected unused questions of {name}, found none in {MAX_DRAWS} draws")


@cache
def _drawn(seed: int, family: OrganismFamily) -> tuple[tuple[Split, ...], frozenset[Content]]:
    draw = _FreshDraw(LANGUAGES[family], Random(f"splits {seed}"))
    splits = tuple(Split(name, tuple(_prompts(name, draw))) for name in SPLIT_NAMES)
    return splits, frozenset(draw.used)


def organism_splits(seed: int, family: OrganismFamily = "gemma4") -> dict[SplitName, Split]:
    """Return the three splits of a seed: the same for the same seed, with no model needed."""
    return {split.name: split for split in _drawn(seed, family)[0]}


def reserved_contents(seed: int, family: OrganismFamily = "gemma4") -> frozenset[Content]:
    """Return the contents of the three splits, which training must leave out."""
    return _drawn(seed, family)[1]


def _prompts(name: SplitName, draw: _FreshDraw) -> Iterator[Prompt]:
    """Yield a split's prompts: harmful, their twins, other harmless, borderline, capability."""
    size = SPLIT_SIZES[name]
    twins: list[Prompt] = []
    for i, category in enumerate(islice(cycle(draw.language.harm_categories), size.harmful)):
        request = draw.request("harmful", category.name, with_twin=i < size.pairs)
        template = draw.template()
        pair_id = f"{name}-{i:03d}" if i < size.pairs else None
        yield _prompt(request, template, pair_id)
        if pair_id:
            twins.append(_prompt(request.twin(), template, pair_id))
    yield from twins
    yield from _balanced("harmless", size.harmless - size.pairs, draw)
    yield from _balanced("borderline", size.borderline, draw)
    for task_name in islice(cycle(TASKS), size.capability):
        task = draw.task(task_name)
        yield Prompt(task.text, "capability", task.name, answer=task.answer)


def _balanced(kind: RequestKind, count: int, draw: _FreshDraw) -> Iterator[Prompt]:
    """Yield requests of a kind, as many of each stratum."""
    for stratum in islice(cycle(all_requests(draw.language)[kind]), count):
        yield _prompt(draw.request(kind, stratum), draw.template())


def _prompt(request: Request, template: int, pair_id: str | None = None) -> Prompt:
    kind: PromptKind = request.kind
    protected = kind == "harmful" and request.category.protected
    return Prompt(request.text(template), kind, request.stratum, protected, pair_id)


def write_splits(folder: Path, seed: int, family: OrganismFamily) -> None:
    """Write ``{probe,tune,report}.jsonl``: a prompt a line, with the fields of ``Prompt``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, split in organism_splits(seed, family).items():
        lines = [json.dumps(asdict(prompt)) + "\n" for prompt in split.prompts]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
