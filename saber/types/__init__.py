"""The frozen values that flow one way through SABER, and the axis words used everywhere.

Axes, in this order where they meet: ``trial layer prompt token d_model`` and ``direction layer kind``.

Layer ``l`` is the residual stream *after* decoder block ``l``, zero-based, before the final norm. A writer of
layer ``l`` is a linear map inside block ``l`` whose output is added to the stream.
"""

from saber.config import Objective, PublishedRow
from saber.types.edits import Activations, Direction, EditPlan, RankedDirection, Round
from saber.types.fronts import CurvePoint, DirectionRow, Frontier, FrontierPoint
from saber.types.inputs import LookedAt, TokenRow, WriterInputs
from saber.types.measurements import BaseRow, Estimate, Judgement, LengthCheck, Metrics, Outcomes, Response
from saber.types.prompts import DIGEST_LENGTH, ProbeSet, Prompt, Split, count_kinds, digest_json
from saber.vocabulary import (
    PROMPT_KINDS,
    SPLIT_NAMES,
    WRITER_KINDS,
    PromptKind,
    SplitName,
    UserError,
    WriterKind,
)

__all__ = [
    "DIGEST_LENGTH",
    "PROMPT_KINDS",
    "SPLIT_NAMES",
    "WRITER_KINDS",
    "Activations",
    "BaseRow",
    "CurvePoint",
    "Direction",
    "DirectionRow",
    "EditPlan",
    "Estimate",
    "Frontier",
    "FrontierPoint",
    "Judgement",
    "LengthCheck",
    "LookedAt",
    "Metrics",
    "Objective",
    "Outcomes",
    "ProbeSet",
    "Prompt",
    "PromptKind",
    "PublishedRow",
    "RankedDirection",
    "Response",
    "Round",
    "Split",
    "SplitName",
    "TokenRow",
    "UserError",
    "WriterInputs",
    "WriterKind",
    "count_kinds",
    "digest_json",
]
