"""Where prompts come from and how they are split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from saber.options.conditions import LOOKS_AT_BORDERLINE
from saber.options.option import Option
from saber.options.strict import STRICT
from saber.vocabulary import PROMPT_KINDS, PromptKind


@dataclass(frozen=True, config=STRICT)
class PromptSource:
    """One data set of prompts of one kind: a local JSON, CSV, TSV, Parquet or text file, or a hub id.

    ``columns`` maps ``prompt, category, pair_id, answer`` to the names in the data; the prompt's is looked for by its
    usual names, and with ``usual_columns`` the others' too. ``protected`` lists the categories whose refusals should be
    kept; ``subset`` and ``split`` choose a part of a hub data set.
    """

    path: str
    kind: PromptKind
    columns: Mapping[str, str] = field(default_factory=dict)
    usual_columns: bool = False
    protected: tuple[str, ...] = ()
    subset: str | None = None
    split: str = "train"
    revision: str | None = None


@dataclass(frozen=True, config=STRICT)
class SplitSizes:
    """How many prompts of each kind a split holds."""

    harmful: int = Field(default=0, ge=0)
    harmless: int = Field(default=0, ge=0)
    borderline: int = Field(default=0, ge=0)
    capability: int = Field(default=0, ge=0)


@dataclass(frozen=True, config=STRICT)
class DataConfig:
    """Where prompts come from and how they are split.

    ``harmful``, ``harmless`` and, where there are such, ``borderline`` and ``capability`` name a file or a hub data set
    each, in place of ``source`` and ``sets``; ``protected`` are categories of the harmful one.
    Of a kind that ``probe``, ``tune`` and ``report`` give no size for, what there is is shared out; of the organism's
    own splits they take the first.
    ``n_probe`` harmful and as many harmless prompts, and ``n_capability`` capability prompts, extract directions: all
    of the probe split where they are null. Of false refusals ``n_borderline`` borderline ones do, as many as
    ``n_probe`` where it is null.
    Of prompts of one kind whose sets of words overlap by ``near_duplicate`` (Jaccard) or more, ``data.sets`` gives the
    first only; ``null`` looks for exact duplicates alone.
    """

    source: Literal["organism", "sets"]
    n_probe: Annotated[int | None, Option(code="nh", place=1)] = Field(default=60, ge=4)
    n_capability: Annotated[int | None, Option(code="ncap", place=28)] = Field(default=30, ge=2)
    n_borderline: Annotated[int | None, Option(code="nb", place=29, when=LOOKS_AT_BORDERLINE)] = Field(
        default=None, ge=8
    )
    seed: int = Field(default=0, ge=0)
    harmful: str | None = None
    harmless: str | None = None
    borderline: str | None = None
    capability: str | None = None
    protected: tuple[str, ...] = ()
    sets: tuple[PromptSource, ...] = ()
    near_duplicate: float | None = Field(default=0.9, gt=0.0, le=1.0)
    probe: SplitSizes = SplitSizes()
    tune: SplitSizes = SplitSizes()
    report: SplitSizes = SplitSizes()

    @property
    def named(self) -> tuple[PromptSource, ...]:
        """The data sets that are named by kind, in place of ``sets``."""
        paths = {kind: getattr(self, kind) for kind in PROMPT_KINDS}
        return tuple(
            PromptSource(path, kind, usual_columns=True, protected=self.protected if kind == "harmful" else ())
            for kind, path in paths.items()
            if path is not None
        )

    @property
    def probe_sizes(self) -> tuple[int, int, int]:
        """How many pairs, capability and borderline prompts directions are extracted from."""
        assert self.n_probe is not None, "expected a configuration of with_probe_counts"
        assert self.n_capability is not None, "expected a configuration of with_probe_counts"
        return self.n_probe, self.n_capability, self.n_probe if self.n_borderline is None else self.n_borderline
