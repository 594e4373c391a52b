"""The forms of an export, written and read back: a whole checkpoint, an adapter for PEFT, one for llama.cpp."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from saber.config import Config
from saber.console import terminal
from saber.lm.architecture.adapter import Adapter
from saber.lm.editing.checkpoint import release, verify_checkpoint
from saber.lm.editing.checkpoint_files import checkpoint_files, checkpoint_folder
from saber.lm.editing.gguf import check_gguf_adapter, read_gguf_adapter, save_gguf_adapter
from saber.lm.editing.lora import check_adapter, read_adapter, save_adapter
from saber.lm.editing.lora_factors import check_factors, merge_factors
from saber.lm.editing.packed import packing_of, refuse_packing
from saber.lm.editing.shards import bake_checkpoint, size_in_bytes, stored_tensors
from saber.lm.loading.load import load_as
from saber.publish.export.modelfile import modelfile
from saber.publish.text.wording import size_text
from saber.redaction import public
from saber.types import EditPlan
from saber.vocabulary import ExportForm

ADAPTER_FILE, MODELFILE = "adapter.gguf", "Modelfile"


@dataclass(frozen=True)
class Base:
    """The model that is edited: its own folder or the hub's snapshot of it, and what it was asked for by."""

    folder: Path
    path: str
    revision: str | None

    @property
    def commit(self) -> str | None:
        """The hub's commit that the snapshot is of, ``None`` for a folder of one's own."""
        return self.folder.name if self.folder.parent.name == "snapshots" else None


def base_of(config: Config, adapter: Adapter) -> Base:
    """Where the loaded base comes from.

    Raises:
        UserError: its files are nowhere.
    """
    path = str(adapter.model.name_or_path)
    if Path(path).is_dir():
        return Base(Path(path), str(Path(path).absolute()), None)
    return Base(checkpoint_folder(path, config.model.revision), path, config.model.revision)


def check_form(form: ExportForm, adapter: Adapter, plan: EditPlan, base: Base) -> None:
    """Refuse what cannot be written in this form, before anything is measured or written.

    Raises:
        UserError: weights that cannot be baked, or an edit that such an adapter cannot carry.
    """
    if form == "merged":
        refuse_packing(base.folder)
        checkpoint_files(base.folder)
    elif form == "adapter":
        check_adapter(adapter, plan)
    else:
        check_gguf_adapter(adapter, plan)


def write_form(
    form: ExportForm, adapter: Adapter | None, plan: EditPlan, base: Base, config: Config, folder: Path
) -> None:
    """Write a plan in one of the forms; only adapters need the loaded base.

    Raises:
        UserError: there is no such form of this plan, or no room for it.
    """
    if form == "merged":
        write_merged(plan, base, folder, trust_remote_code=config.model.trust_remote_code)
        return
    assert adapter is not None
    name = public(config.export.base_model or str(adapter.model.name_or_path))
    if form == "adapter":
        save_adapter(adapter, plan, folder, name)
        adapter.tokenizer.save_pretrained(folder)
    else:
        save_gguf_adapter(adapter, plan, folder / ADAPTER_FILE, name)
        (folder / MODELFILE).write_text(modelfile(adapter, ADAPTER_FILE, config.export.gguf_base), encoding="utf-8")


def read_back(
    form: ExportForm, adapter: Adapter, plan: EditPlan, config: Config, folder: Path
) -> tuple[Adapter, EditPlan]:
    """A model as the written files make it, and what is left to be edited virtually: nothing but over packed weights.

    The weights of the base are given back first where a whole checkpoint is read.

    Raises:
        UserError: what is read back is not what the plan does.
    """
    if form == "merged":
        release(adapter)
        again = load_as(config.model, str(folder), dtype=adapter.dtype)
        return replace(again, chat=adapter.chat), EditPlan(())
    is_gguf = form == "gguf_adapter"
    factors = read_gguf_adapter(adapter, folder / ADAPTER_FILE) if is_gguf else read_adapter(adapter, folder)
    if all(writer.in_full for writer in adapter.writers):
        merge_factors(adapter, factors)
        return adapter, EditPlan(())
    check_factors(adapter, plan, factors)
    return adapter, plan


def write_merged(plan: EditPlan, base: Base, folder: Path, *, trust_remote_code: bool = False) -> None:
    """Bake the base's checkpoint on disk and hold what was written against it.

    Raises:
        UserError: it cannot be baked, or what is read back is not the base but for the edit.
    """
    files = checkpoint_files(base.folder)
    n_bytes = size_in_bytes(files, stored_tensors(files))
    packing = packing_of(base.folder)
    unpacked = f", unpacked from {packing} to bfloat16" if packing else ""
    terminal().print(f"writing {size_text(n_bytes)}{unpacked}, then reading it back", highlight=False)
    with _bar("writing", n_bytes) as wrote:
        baked = bake_checkpoint(base.folder, folder, plan, trust_remote_code=trust_remote_code, wrote=wrote)
    verified = verify_checkpoint(base.folder, folder, baked)
    terminal().print(
        f"{len(baked.edited)} of {verified.n_tensors} tensors edited, {verified.n_as_base} as in the base byte for byte"
        + (f"; left out: {', '.join(baked.left_out)}" if baked.left_out else ""),
        highlight=False,
        soft_wrap=True,
    )


@contextmanager
def _bar(what: str, n_bytes: int) -> Iterator[Callable[[int], None]]:
    """Show bytes as they are written, on a terminal."""
    console = terminal()
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=n_bytes)
        yield lambda written: bar.advance(task, written)
