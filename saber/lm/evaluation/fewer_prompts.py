"""The base's side of some of a split's prompts, out of what is known of all: nothing of the base is run again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from saber.lm.evaluation.base_logits import Batches, TeacherForced
from saber.lm.evaluation.reference import Reference
from saber.lm.inference.batches import Batch


@dataclass(frozen=True, eq=False)
class Fewer:
    """Batches of base logits without those of some drift prompts; ``number`` is what each kept one is called here."""

    whole: Batches
    number: Mapping[int, int]

    def __len__(self) -> int:
        return len(self.whole)

    def __iter__(self) -> Iterator[TeacherForced]:
        """Those that hold a prompt that is kept."""
        return (part for part in map(self._only, self.whole) if len(part.prompt))

    def _only(self, part: TeacherForced) -> TeacherForced:
        """The rows and positions of the prompts that are kept."""
        at = torch.tensor(
            [i for i, prompt in enumerate(part.prompt.tolist()) if prompt in self.number], dtype=torch.long
        )
        rows, row = torch.unique(part.row[at], return_inverse=True)
        place = rows.to(part.batch.input_ids.device)
        number = torch.tensor([self.number[prompt] for prompt in part.prompt[at].tolist()], dtype=torch.long)
        return replace(
            part,
            batch=Batch(part.batch.input_ids[place], part.batch.attention_mask[place]),
            row=row,
            column=part.column[at],
            prompt=number.to(part.prompt.device),
            is_first=part.is_first[at],
            is_prompt=part.is_prompt[at],
            is_response=part.is_response[at],
            logits=part.logits[at],
        )


def of_fewer(reference: Reference, kept: Sequence[int]) -> Reference:
    """The reference of some of its prompts, given by their places among all, ascending; it remembers no trial."""
    place = {i: at for at, i in enumerate(kept)}
    drifting = [(n, place[i]) for n, i in enumerate(reference.drifting) if i in place]
    responses = tuple(reference.responses[i] for i in kept)
    return replace(
        reference,
        rows=tuple(reference.rows[i] for i in kept),
        responses=responses,
        drift=Fewer(reference.drift, {n: at for at, (n, _) in enumerate(drifting)}),
        drifting=tuple(at for _, at in drifting),
        past=None if reference.past is None else reference.past.emptied([reply.whole for reply in responses]),
    )
