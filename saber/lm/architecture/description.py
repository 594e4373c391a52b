"""Writers in words: what stands between them and the residual add, and what no edit of a model can do exactly."""

from __future__ import annotations

from saber.lm.architecture.adapter import Adapter, Writer


def shape(writer: Writer) -> str:
    """The weight's shape, and the bias's where there is one."""
    weight = " x ".join(str(n) for n in writer.weight.shape)
    return weight if writer.bias is None else f"{weight} + bias {' x '.join(str(n) for n in writer.bias.shape)}"


def before_the_add(adapter: Adapter, writer: Writer) -> str:
    """The norms, gates and scales that an output passes, in order."""
    steps = [f"norm {name}" for name in writer.norms]
    if not writer.norms and writer.write is not writer.module:
        block = adapter.blocks[writer.layer]
        inside = next(name for name, module in block.named_modules() if module is writer.write)
        steps.append(f"gate or sum inside {inside}")
    if writer.multiplier != 1.0:
        steps.append(f"times {writer.multiplier:g}")
    return ", then ".join(steps) or "nothing"


def limits(adapter: Adapter) -> list[str]:
    """What an edit of this model cannot do exactly, one sentence each."""
    found = [] if adapter.family.inexact is None else [adapter.family.inexact]
    if any(writer.gain is not None for writer in adapter.writers):
        found.append(
            "behind a norm only the strengths 0 and 1 are exact: between them the norm scales what is left up again"
        )
    if any(writer.fused for writer in adapter.writers):
        found.append("fused experts have no row norms of their own to keep and no LoRA form: export them merged")
        found.append("with edit.reader=inputs they are read by the sum of their outputs, as each has inputs of its own")
    if not all(writer.in_full for writer in adapter.writers):
        found.append("quantised weights can be edited virtually, not baked: bake in the full dtype")
    return found
