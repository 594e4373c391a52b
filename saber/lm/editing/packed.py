"""A checkpoint's tensors as plain numbers: those that are packed in MXFP4 or FP8 are unpacked as they are read.

Other packings (GPTQ, AWQ, int8, ...) are known by name only: their weights are edited virtually, never written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from jaxtyping import BFloat16, Float, UInt8
from torch import Tensor

from saber.lm.architecture.adapter import Adapter
from saber.lm.editing.tensor_file import DTYPES, Entry, Place, bytes_of, read_stored, read_tensor
from saber.types import UserError

CONFIG = "config.json"
UNPACKED = "BF16"  # what packed weights become
UNPACKABLE = ("mxfp4", "fp8")
FP8 = "F8_E4M3"
FP8_SCALE = "_scale_inv"  # of weight: one number a block
NOT_WEIGHTS = ("activation_scale", "input_scale")  # what a packed layer multiplies its inputs by: nothing of the weight
MXFP4_BLOCKS, MXFP4_SCALES = "_blocks", "_scales"
E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # the magnitudes of a 4-bit float: the sign is its highest bit
E8M0_BIAS = 127  # a scale's byte is the exponent of two, so much above zero


@dataclass(frozen=True)
class Stored:
    """A tensor of a checkpoint as plain numbers: where it stands, and how it is read where it is packed."""

    place: Place
    dtype: str
    shape: tuple[int, ...]
    unpack: Callable[[], Tensor] | None = None

    def read(self) -> Tensor:
        """The tensor, in memory of its own.

        Raises:
            UserError: it is neither plain nor packed in a way that is known.
        """
        return read_tensor(self.place) if self.unpack is None else self.unpack()

    @property
    def is_number(self) -> bool:
        """Whether it holds plain floating-point numbers, and not indices or the like."""
        return self.dtype in DTYPES

    def entry(self) -> Entry:
        """The tensor to be written as it is; its bytes are copied where it is plain."""
        if self.unpack is None:
            return Entry(self.dtype, self.shape, self.place.end - self.place.start, self.place.chunks)
        return Entry(self.dtype, self.shape, prod(self.shape) * DTYPES[self.dtype].itemsize, self._unpacked)

    def _unpacked(self) -> Iterator[memoryview]:
        yield bytes_of(self.read())


def packing_of(folder: Path) -> str | None:
    """How a checkpoint says that its weights are packed (``mxfp4``, ``fp8``, ``gptq``, ...), if they are."""
    return packing_named(_config(folder))


def packing_named(config: Mapping[str, Any]) -> str | None:
    """The same of a configuration, or of the text half in a multimodal one."""
    for values in (config, config.get("text_config") or {}):
        about = values.get("quantization_config")
        if about:
            return str(about.get("quant_method", "unknown"))
    return None


def refuse_packing(folder: Path) -> None:
    """Pass where a checkpoint's weights can be written as plain numbers.

    Raises:
        UserError: they are packed in a way that is only edited virtually.
    """
    packing = packing_of(folder)
    if packing is not None and packing not in UNPACKABLE:
        raise UserError(
            f"expected weights to bake in {folder}, found them packed ({packing}): export.format=adapter or"
            " gguf_adapter leaves them as they are; or bake into the full-precision checkpoint that they were made from"
        )


def packed_note(adapter: Adapter) -> str | None:
    """One line for before a search on what cannot be had of a base that stays packed in memory, if it does."""
    packed = [writer for writer in adapter.writers if not writer.in_full]
    if not packed:
        return None
    packing = packing_named(adapter.model.config.to_dict()) or str(packed[0].weight.dtype).removeprefix("torch.")
    return (
        f"note: {len(packed)} of {len(adapter.writers)} writers keep their weights packed ({packing}): trials edit them"
        " virtually, and no merged checkpoint can be baked from them; export.format=adapter or gguf_adapter can be had"
    )


def as_plain(stored: Mapping[str, Place], folder: Path) -> dict[str, Stored]:
    """Every tensor that a checkpoint holds once it is unpacked, by name; scales go into what they scale.

    Raises:
        UserError: a packed tensor lacks its scale.
    """
    packing = packing_of(folder)
    if packing == "mxfp4":
        return _from_mxfp4(stored)
    if packing == "fp8":
        return _from_fp8(stored, _block(folder))
    return {name: Stored(place, place.dtype, place.shape) for name, place in stored.items()}


def _from_mxfp4(stored: Mapping[str, Place]) -> dict[str, Stored]:
    """Experts [expert, out, group, byte] of two 4-bit numbers a byte and one scale a group: [expert, in, out]."""
    unpacked: dict[str, Stored] = {}
    for name, place in stored.items():
        if name.endswith(MXFP4_SCALES) and name.removesuffix(MXFP4_SCALES) + MXFP4_BLOCKS in stored:
            continue
        if not name.endswith(MXFP4_BLOCKS):
            unpacked[name] = Stored(place, place.dtype, place.shape)
            continue
        plain = name.removesuffix(MXFP4_BLOCKS)
        scales = _scale_of(stored, plain + MXFP4_SCALES, place)
        n_experts, n_out, n_groups, n_bytes = place.shape

        def unpack(blocks: Place = place, scales: Place = scales) -> Tensor:
            return from_mxfp4(read_stored(blocks), read_stored(scales))

        unpacked[plain] = Stored(place, UNPACKED, (n_experts, 2 * n_groups * n_bytes, n_out), unpack)
    return unpacked


def from_mxfp4(
    blocks: UInt8[Tensor, "expert d_out group byte"], scales: UInt8[Tensor, "expert d_out group"]
) -> BFloat16[Tensor, "expert d_in d_out"]:
    """The numbers of MXFP4 experts, which bfloat16 holds exactly: low half of a byte first, times 2^(scale - 127)."""
    table = torch.tensor([*E2M1, *(-value for value in E2M1)])
    n_experts, n_out, n_groups, n_bytes = blocks.shape
    plain = torch.empty(n_experts, 2 * n_groups * n_bytes, n_out, dtype=DTYPES[UNPACKED])
    for expert, (codes, exponents) in enumerate(zip(blocks, scales, strict=True)):
        numbers = table[torch.stack([codes & 0xF, codes >> 4], dim=-1).int()].flatten(-2)
        scaled = torch.ldexp(numbers, exponents.int().unsqueeze(-1) - E8M0_BIAS)
        plain[expert] = scaled.flatten(-2).T
    return plain


def _from_fp8(stored: Mapping[str, Place], block: tuple[int, int] | None) -> dict[str, Stored]:
    """Matrices of 8-bit floats with one scale a block, or one for the whole."""
    unpacked: dict[str, Stored] = {}
    for name, place in stored.items():
        if name.endswith((FP8_SCALE, *NOT_WEIGHTS)):
            continue
        if place.dtype != FP8:
            unpacked[name] = Stored(place, place.dtype, place.shape)
            continue
        scale = _scale_of(stored, name + FP8_SCALE, place)

        def unpack(weight: Place = place, scale: Place = scale) -> Tensor:
            return scaled_blocks(read_stored(weight), read_tensor(scale), block).to(DTYPES[UNPACKED])

        unpacked[name] = Stored(place, UNPACKED, place.shape, unpack)
    return unpacked


def scaled_blocks(weight: Tensor, scale: Tensor, block: tuple[int, int] | None) -> Float[Tensor, "*expert d_out d_in"]:
    """Each block of a matrix times its scale, in fp32; blocks at the edges may be cut short."""
    values = weight.float()
    if scale.numel() == 1:
        return values * scale.float().reshape(())
    rows, columns = block or tuple(-(-n // m) for n, m in zip(values.shape[-2:], scale.shape[-2:], strict=True))
    grid = scale.float().repeat_interleave(rows, dim=-2).repeat_interleave(columns, dim=-1)
    return values * grid[..., : values.shape[-2], : values.shape[-1]]


def _scale_of(stored: Mapping[str, Place], name: str, packed: Place) -> Place:
    if name not in stored:
        raise UserError(f"expected a scale {name} of what is packed in {packed.file}, found none")
    return stored[name]


def plain_config(folder: Path) -> str:
    """The configuration of a checkpoint whose weights were unpacked: no packing, and their dtype."""
    config = _config(folder)
    for values in (config, *(half for half in config.values() if isinstance(half, dict))):
        values.pop("quantization_config", None)
        for key in ("dtype", "torch_dtype"):
            if key in values:
                values[key] = "bfloat16"
    if not {"dtype", "torch_dtype"} & config.keys():
        config["dtype"] = "bfloat16"
    return json.dumps(config, indent=2, ensure_ascii=False) + "\n"


def _block(folder: Path) -> tuple[int, int] | None:
    """The sides of an FP8 block, where the configuration says them."""
    config = _config(folder)
    block = (config.get("quantization_config") or config["text_config"]["quantization_config"]).get("weight_block_size")
    return None if block is None else (int(block[0]), int(block[1]))


def _config(folder: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"expected {CONFIG} of a model in {folder}, found: {error}") from error
    return values
