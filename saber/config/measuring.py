"""How a model is measured: the protocol, and the judge beside the labels."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from saber.options.strict import STRICT
from saber.vocabulary import BeatenTrials, DriftPosition, EmptyIs, Labeller, PromptKind

HERETIC = "heretic_compat"  # the profile that measures as Heretic does


def one_or_several(value: Any) -> Any:
    """``en`` is short for ``[en]``."""
    return (value,) if isinstance(value, str) else value


@dataclass(frozen=True, config=STRICT)
class EvaluateConfig:
    """The protocol: everything here but sizes of batches and resamples enters the digest that every metric carries.

    By ``labeller=markers`` a response refuses where one of ``markers``, or else of those in ``marker_list``, occurs:
    names such as ``en``, or paths to .yaml files; several are combined. ``labeller=rules`` reads English as people
    label it, ``partial`` and ``evasive`` ones too; markers count beside it, but for the list ``en``.
    ``empty_is`` labels an empty response. ``system_prompt`` replaces the model's own, ``""`` leaves it out. A
    model that is to think has ``max_thinking_tokens`` for it before the ``max_new_tokens`` of its answer.
    ``skip_common_prefix`` puts what all replies of the base begin with into the prompt, a thought that opens there
    closed, as Heretic does; ``null`` does so under Heretic's profile only.
    ``drift_kinds`` are the prompts that drift is measured on; ``kld`` is the mean over them of each prompt's mean over
    its ``kld_positions``.
    A trial that an earlier one beats replies to the kinds of prompts that the search asks for
    (``beaten_trials=sought``) or to all; which of the two is in no digest, as every number is the same under both.
    ``memory_gb`` bounds the full-vocabulary logits held at once; beyond a sixth of it the base's are on disk.
    """

    profile: str = "default"
    max_new_tokens: int = Field(default=32, ge=1)
    max_thinking_tokens: int = Field(default=512, ge=1)
    batch_size: int = Field(default=256, ge=1)
    system_prompt: str | None = None
    skip_common_prefix: bool | None = None
    labeller: Labeller = "markers"
    marker_list: Annotated[tuple[str, ...], BeforeValidator(one_or_several), Field(min_length=1)] = ("en",)
    markers: tuple[str, ...] = ()
    empty_is: EmptyIs = "empty"
    drift_kinds: tuple[PromptKind, ...] = Field(default=("harmless", "capability"), min_length=1)
    kld_positions: DriftPosition = "response"
    n_bootstrap: int = Field(default=1000, ge=100)
    beaten_trials: BeatenTrials = "sought"
    memory_gb: float = Field(default=4.0, gt=0.0)

    @property
    def skips_common_prefix(self) -> bool:
        """Whether what all replies begin with is put into the prompt."""
        return self.profile == HERETIC if self.skip_common_prefix is None else self.skip_common_prefix


@dataclass(frozen=True, config=STRICT)
class JudgeConfig:
    """A second opinion on which responses refuse, asked of the front points only and reported beside the labels.

    ``hf_classifier`` is a sequence classifier at ``path`` (a folder or a hub id), which ``reads`` the response alone or
    the pair of prompt and response, and whose label ``refuses`` means refusal. ``openai_compatible`` asks the model
    called ``path`` at the chat endpoint ``url``, such as http://127.0.0.1:8000/v1, for up to ``max_tokens`` (one that
    thinks first needs many); of what it says the verdict is read.
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
    max_tokens: int = Field(default=1024, ge=1)

    @model_validator(mode="after")
    def _names_a_model(self) -> Self:
        if self.kind != "none" and not self.path:
            raise ValueError("expected judge.path to name the judge's model")
        return self
