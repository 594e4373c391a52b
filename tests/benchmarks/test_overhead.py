"""What a trial's calls of the model were is what the replay makes again, caches that were joined among them."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from overhead import recorded, replay

from saber.lm.architecture.adapter import adapt
from saber.lm.inference.kv_cache import joined
from tests.lm.families import tiny


def test_caches_that_were_joined_are_replayed_with_all_their_rows() -> None:
    adapter = adapt(tiny("llama").model, SimpleNamespace(pad_token_id=0))
    model, rows = adapter.model, list[tuple[int, ...]]()
    counting = adapter.blocks[0].register_forward_pre_hook(lambda _, args: rows.append(tuple(args[0].shape[:2])))
    with torch.inference_mode(), recorded(model, adapter.blocks, keep=True) as recording:
        ids = [torch.full((n, width), 5) for n, width in ((2, 4), (3, 6))]
        masks = [torch.ones_like(part) for part in ids]
        caches = [
            model(input_ids=part, attention_mask=mask, use_cache=True).past_key_values
            for part, mask in zip(ids, masks, strict=True)
        ]
        cache, mask = joined(caches, masks, range(5))
        for n in (5, 4):  # then a row leaves
            cache.reorder_cache(torch.arange(n))
            mask = torch.cat([mask[:n], torch.ones(n, 1, dtype=mask.dtype)], dim=1)
            model(input_ids=torch.full((n, 1), 7), attention_mask=mask, past_key_values=cache, use_cache=True)
    made = rows.copy()
    assert made == [(2, 4), (3, 6), (5, 1), (4, 1)]
    rows.clear()
    assert replay(recording, adapter.blocks) > 0.0
    assert rows == made
    counting.remove()
