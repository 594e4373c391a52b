"""Where points go, and the published numbers they stand beside."""

from __future__ import annotations

from pydantic import Field
from pydantic.dataclasses import dataclass

from saber.options.strict import STRICT
from saber.vocabulary import ExportForm

HUB_ID = r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$"


@dataclass(frozen=True, config=STRICT)
class ExportConfig:
    """Where exported points go, in which form, and how far what is re-measured may be from its trial (nats, rates).

    ``merged`` is a whole checkpoint; ``adapter`` is an exact LoRA adapter of the base for PEFT, ``gguf_adapter`` one
    for llama.cpp, where the plan has one. ``gguf_base`` is what Ollama's Modelfile stands on: a GGUF file or a model's
    name. ``base_model`` is the base's id on the hub, where ``model.path`` is a folder.

    ``push_to`` uploads what was exported to ``user/name`` on the hub, private unless ``push_public``;
    ``push_dry_run`` only lists the files. A repository that is there is asked about, or ``push_overwrite`` says yes.
    """

    dir: str = "outputs"
    format: ExportForm = "merged"
    gguf_base: str | None = None
    base_model: str | None = Field(default=None, pattern=HUB_ID)
    push_to: str | None = Field(default=None, pattern=HUB_ID)
    push_dry_run: bool = False
    push_overwrite: bool = False
    push_public: bool = False
    tolerance_kld: float = Field(default=0.02, ge=0.0)
    tolerance_rate: float = Field(default=0.03, ge=0.0)


@dataclass(frozen=True, config=STRICT)
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
