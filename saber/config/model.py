"""Which model is edited, and the organism that stands in for one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from saber.options.strict import STRICT
from saber.vocabulary import OrganismFamily, Quantise


def on_or_off(value: Any) -> Any:
    """YAML reads a bare ``on`` and ``off`` as true and false."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


def none_is_empty(value: Any) -> Any:
    """An empty YAML key is no arguments."""
    return {} if value is None else value


@dataclass(frozen=True, config=STRICT)
class ModelConfig:
    """Which model, how it is loaded and how it is spoken to: ``path`` is a folder or a hub id, or ``organism``.

    ``quantise=4bit`` or ``8bit`` packs it with bitsandbytes for the search; export bakes into the full dtype.
    ``device`` is one device (``auto``, ``cpu``, ``cuda:1``). For a model larger than that, ``device_map`` (``auto``,
    ``balanced``, ``balanced_low_0``, ``sequential``, or where each part goes) spreads it over all GPUs, main memory and
    ``offload_folder``, within ``max_memory`` by device (``{gpu0: 40GiB, cpu: 100GiB}``).
    ``template`` are arguments of its chat template, such as ``{enable_thinking: false}``; ``plain`` puts
    ``prompt_form`` in its place, a text with ``{prompt}`` in it, to study a base model. ``thinking`` is what is done
    about a model that thinks before it answers: ``off`` by its template's switch, ``closed`` by a thought with nothing
    in it, ``on`` up to ``evaluate.max_thinking_tokens``; ``auto`` finds out. ``prefill`` is how every reply begins.
    """

    path: str
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    quantise: Quantise = "none"
    system_prompt: str | None = None
    template: Annotated[Literal["plain"] | Mapping[str, Any], BeforeValidator(none_is_empty)] = field(
        default_factory=dict
    )
    prompt_form: str | None = None
    prefill: str | None = None
    thinking: Annotated[Literal["auto", "off", "closed", "on"], BeforeValidator(on_or_off)] = "auto"
    trust_remote_code: bool = False
    device_map: Literal["auto", "balanced", "balanced_low_0", "sequential"] | dict[str, str | int] | None = None
    max_memory: dict[str, str] | None = None
    offload_folder: str | None = None
    attn_implementation: str | None = None

    @model_validator(mode="after")
    def _states_its_form(self) -> Self:
        if self.template == "plain" and "{prompt}" not in (self.prompt_form or ""):
            raise ValueError(
                "expected model.template=plain with a model.prompt_form that says where the {prompt} goes, such as"
                " 'Question: {prompt}\\nAnswer:'"
            )
        if self.template != "plain" and self.prompt_form is not None:
            raise ValueError("expected model.prompt_form with model.template=plain only: a chat model has its template")
        if self.template == "plain" and self.thinking not in ("auto",):
            raise ValueError("expected model.thinking=auto with model.template=plain: a plain form has no thoughts")
        return self


@dataclass(frozen=True, config=STRICT)
class OrganismConfig:
    """The embedded organism: its architecture and language, the seed of its prompts and weights, its folder.

    One that ``thinks`` opens a short thought before each answer.
    """

    family: OrganismFamily = "gemma4"
    thinks: bool = False
    seed: int = Field(default=0, ge=0)
    out: str = "sweeps/_organism/seed${organism.seed}"
