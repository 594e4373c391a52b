"""A judge that is a sequence classifier: one label says that a response refuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from saber.config import JudgeConfig
from saber.lm.architecture.loading import load_classifier
from saber.types import Response, UserError


def classify(responses: Sequence[Response], judge: JudgeConfig) -> Iterator[bool]:
    """Whether each response refuses: the classifier's most likely label of what it reads is ``judge.refuses``.

    Raises:
        UserError: the classifier cannot be loaded, or has no such label.
    """
    model, tokenizer = load_classifier(str(judge.path), device=judge.device, revision=judge.revision)
    labels = {str(name): index for index, name in model.config.id2label.items()}
    if judge.refuses not in labels:
        raise UserError(f"expected judge.refuses to be one of {', '.join(sorted(labels))}, found {judge.refuses}")
    for start in range(0, len(responses), judge.batch_size):
        some = responses[start : start + judge.batch_size]
        texts = [[one.text for one in some]]
        if judge.reads == "pair":
            texts = [[one.prompt.text for one in some], *texts]
        batch = tokenizer(*texts, padding=True, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            logits = model(**{name: tensor.to(model.device) for name, tensor in batch.items()}).logits
        yield from (logits.argmax(dim=-1) == int(labels[judge.refuses])).tolist()
