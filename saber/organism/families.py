"""What goes with each family of organisms besides its body: the language, and the marks that turns are set in."""

from __future__ import annotations

from dataclasses import dataclass

from saber.organism.language import Language, read_language
from saber.vocabulary import OrganismFamily


@dataclass(frozen=True)
class Turns:
    """The special tokens around a turn, and what the model's own turns are called; padding has the first id."""

    pad: str
    bos: str | None
    unknown: str
    start: str
    end: str
    model_role: str

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """All of them, in the order of their ids."""
        return tuple(token for token in (self.pad, self.bos, self.unknown, self.start, self.end) if token is not None)

    @property
    def roles(self) -> tuple[str, str, str]:
        """What a turn may be headed by."""
        return ("system", "user", self.model_role)


LANGUAGES: dict[OrganismFamily, Language] = {
    "gemma4": read_language("everyday"),
    "qwen3": read_language("office"),
}
TURNS: dict[OrganismFamily, Turns] = {
    "gemma4": Turns("<pad>", "<bos>", "<unk>", "<|turn>", "<turn|>", "model"),
    "qwen3": Turns("<|endoftext|>", None, "<unk>", "<|im_start|>", "<|im_end|>", "assistant"),
}
