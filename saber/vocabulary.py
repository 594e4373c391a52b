"""The closed vocabularies and the one error for users: nothing heavy is imported here, so that --help is quick."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

LONGEST = 1200  # characters of an error
MOST_LINES = 20  # of a list of mistakes
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 120
_SHORT.maxdict = _SHORT.maxlist = _SHORT.maxtuple = 8

PromptKind = Literal["harmful", "harmless", "borderline", "capability"]
PROMPT_KINDS: tuple[PromptKind, ...] = ("harmful", "harmless", "borderline", "capability")

WriterKind = Literal["attention", "mlp", "per_layer"]
WRITER_KINDS: tuple[WriterKind, ...] = ("attention", "mlp", "per_layer")

OrganismFamily = Literal["gemma4", "qwen3"]
ORGANISM_FAMILIES: tuple[OrganismFamily, ...] = ("gemma4", "qwen3")

SplitName = Literal["probe", "tune", "report"]
SPLIT_NAMES: tuple[SplitName, ...] = ("probe", "tune", "report")

# The method's words, each said in its own file of ``saber.method``.
Contrast = Literal["refusal", "false_refusal"]
# An extraction is a file there, and a reader of outputs another; they are not read for their names.
EXTRACTIONS = tuple(sorted(p.stem for p in Path(__file__).with_name("method").glob("extractions/[a-z]*.py")))
OUTPUT_READERS = tuple(sorted(p.stem for p in Path(__file__).with_name("method").glob("readers/[a-z]*.py")))
if TYPE_CHECKING:
    Extraction = str
    Reader = str
else:
    Extraction = Literal[EXTRACTIONS]
    Reader = Literal[("direction", *OUTPUT_READERS, "inputs")]  # itself, what outputs are read with, a writer's inputs
Purification = Literal["none", "harmless_mean", "subspace"]
LayerStrategy = Literal["all", "top_k", "threshold", "percentile", "elbow"]
Position = Literal["last", "last_instruction", "end_of_thought"]
Spares = Literal["harmless", "answered", "harmful", "harmful_and_answered", "protected_and_answered"]
Protects = Literal["categories", "none"]

Quantise = Literal["none", "4bit", "8bit"]
ExportForm = Literal["merged", "adapter", "gguf_adapter"]

DriftPosition = Literal["first", "prompt", "response"]
BeatenTrials = Literal["sought", "all"]
EmptyIs = Literal["empty", "refuse", "comply"]
Labeller = Literal["markers", "rules"]


class UserError(Exception):
    """A mistake that the user can mend: one line saying what was expected, what was found, what to do."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class Mistakes(UserError):
    """All mistakes that were found at once: one is said as one, several as a list with a line each."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = tuple(dict.fromkeys(one_line(line) for line in lines))
        super().__init__("; ".join(self.lines))

    def __str__(self) -> str:
        if len(self.lines) == 1:
            return self.lines[0]
        more = [f"  - and {len(self.lines) - MOST_LINES} more"] if len(self.lines) > MOST_LINES else []
        return "\n".join([f"{len(self.lines)} mistakes:", *(f"  - {line}" for line in self.lines[:MOST_LINES]), *more])


def one_line(text: str) -> str:
    """Text on one line, with what a terminal would not show, or would obey, written as an escape; long ones are cut."""
    joined = " ".join(filter(None, (line.strip() for line in text.splitlines())))
    if len(joined) > LONGEST:
        joined = f"{joined[: LONGEST // 2]} ... {joined[-LONGEST // 2 :]}"  # what to do stands at the end
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in joined)


def shown(value: object) -> str:
    """A value as an error shows it: its beginning, where it is long, however large it is."""
    return _SHORT.repr(value)
