"""The typed configuration: what every key means, its bounds and its unit, checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from saber.vocabulary import PromptKind, SplitName

SAFE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"  # names reach the file system: no separators, no leading dot

_strict = ConfigDict(extra="forbid", validate_default=True)


@dataclass(frozen=True, config=_strict)
class ModelConfig:
    """Which model, and how it is loaded: ``path`` is a folder or a hub id, or ``organism``.

    ``quantise=4bit`` loads it through bitsandbytes for the search; export bakes into the full dtype all the same.
    """

    path: str
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    quantise: Literal["none", "4bit"] = "none"
    system_prompt: str | None = None
    trust_remote_code: bool = False


@dataclass(frozen=True, config=_strict)
class OrganismConfig:
    """The embedded organism: ``seed`` chooses its language and weights, ``out`` is its folder."""

    seed: int = Field(default=0, ge=0)
    out: str = "sweeps/_organism/seed${organism.seed}"


@dataclass(frozen=True, config=_strict)
class PromptSource:
    """One data set of prompts of one kind: a local JSONL, CSV or text file, or a hub id.

    ``columns`` maps ``prompt, category, pair_id, answer`` to the names in the data; ``protected`` lists the
    categories whose refusals should be kept; ``subset`` and ``split`` choose a part of a hub data set.
    """

    path: str
    kind: PromptKind
    columns: Mapping[str, str] = field(default_factory=dict)
    protected: tuple[str, ...] = ()
    subset: str | None = None
    split: str = "train"
    revision: str | None = None


@dataclass(frozen=True, config=_strict)
class SplitSizes:
    """How many prompts of each kind a split holds."""

    harmful: int = Field(default=0, ge=0)
    harmless: int = Field(default=0, ge=0)
    borderline: int = Field(default=0, ge=0)
    capability: int = Field(default=0, ge=0)


@dataclass(frozen=True, config=_strict)
class DataConfig:
    """Where prompts come from and how they are split.

    ``n_probe`` harmful and as many harmless prompts, and ``n_capability`` capability prompts, extract directions.
    Of prompts of one kind whose sets of words overlap by ``near_duplicate`` (Jaccard) or more, ``data.sets`` gives the
    first only; ``null`` looks for exact duplicates alone.
    """

    source: Literal["organism", "sets"]
    n_probe: int = Field(default=60, ge=4)
    n_capability: int = Field(default=30, ge=2)
    seed: int = Field(default=0, ge=0)
    sets: tuple[PromptSource, ...] = ()
    near_duplicate: float | None = Field(default=0.9, gt=0.0, le=1.0)
    probe: SplitSizes = SplitSizes()
    tune: SplitSizes = SplitSizes()
    report: SplitSizes = SplitSizes()


@dataclass(frozen=True, config=_strict)
class DepthBand:
    """Candidate layers as shares of depth: 0 is the first block, 1 the last."""

    low: float = Field(default=0.2, ge=0.0, le=1.0)
    high: float = Field(default=0.8, ge=0.0, le=1.0)


@dataclass(frozen=True, config=_strict)
class ComponentScale:
    """A factor on the strength per kind of writer; 0 leaves that kind alone."""

    attention: float = Field(default=1.0, ge=0.0)
    mlp: float = Field(default=1.0, ge=0.0)
    per_layer: float = Field(default=1.0, ge=0.0)


@dataclass(frozen=True, config=_strict)
class Tent:
    """Strength over depth: ``peak`` at ``position``, falling to ``floor`` at ``half_width`` away, 0 beyond."""

    peak: float = Field(default=1.0, ge=0.0)
    position: float = Field(default=0.6, ge=0.0, le=1.0)
    floor: float = Field(default=0.0, ge=0.0)
    half_width: float = Field(default=0.6, gt=0.0)


@dataclass(frozen=True, config=_strict)
class KernelConfig:
    """The ``kernel`` scope: a tent per kind of writer, and whose direction acts at a layer.

    ``direction=per_layer`` uses each layer's own; ``global`` one for all layers, interpolated between the two
    layers around ``direction_position`` (a share of depth).
    """

    attention: Tent = Tent()
    mlp: Tent = Tent()
    per_layer: Tent = Tent()
    direction: Literal["per_layer", "global"] = "per_layer"
    direction_position: float = Field(default=0.6, ge=0.0, le=1.0)


@dataclass(frozen=True, config=_strict)
class EditConfig:
    """The method's knobs (DESIGN 2): every one of them changes the plan."""

    extraction: Literal["svd", "dim", "lda", "whitened_svd"] = "svd"
    n_directions: int = Field(default=4, ge=1)
    purify: Literal["none", "harmless_mean", "subspace"] = "harmless_mean"
    purify_rank: int = Field(default=8, ge=1)
    fdr_folds: int = Field(default=1, ge=1)
    n_capability_directions: int = Field(default=10, ge=1)
    depth_band: DepthBand = DepthBand()
    layer_strategy: Literal["all", "top_k", "threshold", "percentile", "elbow"] = "all"
    layer_top_k: int = Field(default=10, ge=1)
    layer_threshold: float = Field(default=1.0, ge=0.0)
    layer_percentile: float = Field(default=50.0, ge=0.0, le=100.0)
    global_top_k: int = Field(default=14, ge=1)
    strength: Literal["blended", "decomposed"] = "blended"
    alpha_base: float = Field(default=0.825, ge=0.0)
    alpha_entangled: float = Field(default=0.03, ge=0.0)
    entanglement_threshold: float = Field(default=0.55, ge=0.0, le=1.0)
    scope: Literal["layer", "band", "all", "kernel"] = "layer"
    reach: int = Field(default=1, ge=0)
    component_scale: ComponentScale = ComponentScale()
    kernel: KernelConfig = KernelConfig()
    norm_preserve: Literal["none", "row"] = "none"
    max_iterations: int = Field(default=4, ge=1)
    decay: float = Field(default=1.0, gt=0.0)
    tolerance: float = Field(default=0.0, ge=0.0)
    stable_cosine: float = Field(default=0.98, ge=0.0, le=1.0)
    patience: int = Field(default=2, ge=1)


@dataclass(frozen=True, config=_strict)
class EvaluateConfig:
    """The protocol: everything here but sizes of batches and resamples enters the digest that every metric carries.

    A response refuses where one of ``markers``, or else of the named ``marker_list``, occurs; ``empty_is`` labels an
    empty one. ``system_prompt`` replaces the model's own, ``""`` leaves it out. ``drift_kinds`` are the prompts that
    drift is measured on; ``kld`` is the mean over them of each prompt's mean over its ``kld_positions``.
    ``memory_gb`` bounds the full-vocabulary logits held at once; beyond a sixth of it the base's are on disk.
    """

    profile: str = "default"
    max_new_tokens: int = Field(default=32, ge=1)
    batch_size: int = Field(default=256, ge=1)
    system_prompt: str | None = None
    marker_list: Literal["default", "heretic_compat", "saber_original"] = "default"
    markers: tuple[str, ...] = ()
    empty_is: Literal["empty", "refuse", "comply"] = "empty"
    drift_kinds: tuple[PromptKind, ...] = Field(default=("harmless", "capability"), min_length=1)
    kld_positions: Literal["first", "prompt", "response"] = "response"
    n_bootstrap: int = Field(default=1000, ge=100)
    memory_gb: float = Field(default=4.0, gt=0.0)


@dataclass(frozen=True, config=_strict)
class Objective:
    """A metric that a study improves, and which way; a point at ``reference`` or worse adds no hypervolume."""

    metric: str
    direction: Literal["minimize", "maximize"] = "minimize"
    reference: float = 1.0


@dataclass(frozen=True, config=_strict)
class ConstraintConfig:
    """A metric that must stay within bounds for a point to be feasible.

    ``bound`` is what is constrained: the value, or an end of its 95% interval. ``within`` of the base holds it near the
    same bound of the unedited model: ``low`` no further below, ``high`` no further above, ``value`` neither.
    """

    metric: str
    bound: Literal["value", "low", "high"] = "value"
    at_least: float | None = None
    at_most: float | None = None
    within: float | None = Field(default=None, ge=0.0)
    of: Literal["base"] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if (self.within is None) != (self.of is None):
            raise ValueError("expected within and of together")
        if self.at_least is None and self.at_most is None and self.within is None:
            raise ValueError("expected at_least, at_most, or within and of")
        return self


@dataclass(frozen=True, config=_strict)
class StudyConfig:
    """The search: its name and folder, how many trials, which sampler, what is improved.

    ``n_trials`` counts finished trials in the whole study; ``"+20"`` asks for twenty more than last time.
    ``storage`` is any SQLAlchemy URL, by default an SQLite file in the study's folder; a database that goes away while
    the study runs is waited for, ``storage_patience_s`` seconds.
    """

    name: str = Field(pattern=SAFE_NAME)
    dir: str = "sweeps"
    n_trials: int | str = 60
    seed: int = Field(default=0, ge=0)
    sampler: Literal["auto", "gp", "tpe", "nsga2", "random"] = "auto"
    objectives: tuple[Objective, ...] = ()
    constraints: tuple[ConstraintConfig, ...] = ()
    enqueue: tuple[Mapping[str, Any], ...] = ()
    refusal_cap: float = Field(default=0.10, ge=0.0, le=1.0)
    storage: str | None = None
    storage_patience_s: float = Field(default=120.0, ge=0.0)


@dataclass(frozen=True, config=_strict)
class LaunchConfig:
    """Where trials run, how many share one batch, and on how many CPU threads (``None`` leaves torch its own)."""

    kind: Literal["local"] = "local"
    trials_per_batch: int = Field(default=4, ge=1)
    threads: int | None = Field(default=None, ge=1)


@dataclass(frozen=True, config=_strict)
class ExportConfig:
    """Where exported points go, in which form, and how far what is re-measured may be from its trial (nats, rates).

    ``merged`` is a whole checkpoint; ``adapter`` is an exact LoRA adapter of the base, where the plan has one.
    """

    dir: str = "outputs"
    format: Literal["merged", "adapter"] = "merged"
    tolerance_kld: float = Field(default=0.02, ge=0.0)
    tolerance_rate: float = Field(default=0.03, ge=0.0)


@dataclass(frozen=True, config=_strict)
class JudgeConfig:
    """A second opinion on which responses refuse, asked of the front points only and reported beside the markers.

    ``hf_classifier`` is a sequence classifier at ``path`` (a folder or a hub id), which ``reads`` the response alone or
    the pair of prompt and response, and whose label ``refuses`` means refusal. ``openai_compatible`` asks the model
    called ``path`` at the chat endpoint ``url``, such as http://127.0.0.1:8000/v1.
    """

    kind: Literal["none", "hf_classifier", "openai_compatible"] = "none"
    path: str | None = None
    revision: str | None = None
    url: str = ""
    reads: Literal["response", "pair"] = "response"
    refuses: str = "refuse"
    device: str = "auto"
    batch_size: int = Field(default=16, ge=1)
    timeout_s: float = Field(default=60.0, gt=0.0)

    @model_validator(mode="after")
    def _names_a_model(self) -> Self:
        if self.kind != "none" and not self.path:
            raise ValueError("expected judge.path to name the judge's model")
        return self


@dataclass(frozen=True, config=_strict)
class PublishedRow:
    """A number somebody published under another protocol: shown beside ours, never mixed with them."""

    name: str
    refusals: int
    n_prompts: int
    kld_nats: float
    kld_positions: str
    source: str
    residual_refusal: float | None = None
    score: float | None = None


@dataclass(frozen=True, config=_strict)
class Config:
    """The whole run. ``space`` maps any key, nested or dotted, to ``{low, high, step|log}`` or ``{choices}``.

    ``saber.evaluate`` compares ``checkpoint`` with ``against``, or else with the base, on ``splits``.
    ``saber.move`` takes the study to the database ``to`` (a URL), its files to the folder ``to_dir``.
    ``overrides`` are the command line's own words, so that the next command can be written with them.
    """

    model: ModelConfig
    data: DataConfig
    edit: EditConfig
    evaluate: EvaluateConfig
    study: StudyConfig
    launch: LaunchConfig = LaunchConfig()
    export: ExportConfig = ExportConfig()
    organism: OrganismConfig = OrganismConfig()
    judge: JudgeConfig = JudgeConfig()
    published: tuple[PublishedRow, ...] = ()
    space: Mapping[str, Any] = field(default_factory=dict)
    point: str = Field(default="balanced", coerce_numbers_to_str=True)  # a trial number is read as one
    checkpoint: str | None = None
    to: str | None = None
    to_dir: str | None = None
    against: str | None = None
    splits: tuple[SplitName, ...] = Field(default=("tune", "report"), min_length=1)
    overrides: tuple[str, ...] = ()
