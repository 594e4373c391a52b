"""List every writer into a model's residual stream: ``python -m saber.writers model.path=...``."""

from __future__ import annotations

import sys

from saber.command import run
from saber.config import Config


def writers(config: Config) -> None:
    """Print every writer, what its output passes before it is added, what no edit can do here, and the guard's word."""
    from rich.table import Table

    from saber.console import terminal
    from saber.lm.architecture.description import before_the_add, limits, shape
    from saber.lm.architecture.layouts import MEANING
    from saber.lm.architecture.loading import quiet
    from saber.lm.architecture.verify import verify_writers
    from saber.study.context import load_base

    quiet()
    adapter = load_base(config)
    layouts = sorted({writer.layout for writer in adapter.writers})
    table = Table("layer", "kind", "module", "shape", "layout", "before the add", box=None, title=config.model.path)
    for writer in adapter.writers:
        module = writer.name.removeprefix(f"{adapter.family.blocks}.{writer.layer}.")
        table.add_row(
            str(writer.layer), writer.kind, module, shape(writer), writer.layout, before_the_add(adapter, writer)
        )
    console = terminal()
    console.print(table)
    console.print(f"modules are relative to {adapter.family.blocks}.<layer>", soft_wrap=True)
    for layout in layouts:
        console.print(f"{layout}: {MEANING[layout]}", highlight=False)
    if adapter.family.block_scale is not None:
        console.print(f"each block's whole output is multiplied by its {adapter.family.block_scale}", soft_wrap=True)
    for limit in limits(adapter):
        console.print(f"limit: {limit}", soft_wrap=True)
    error = verify_writers(adapter)
    if error is None:
        console.print("the blocks were not checked: they are declared to be more than a sum of writes", soft_wrap=True)
    else:
        console.print(f"the writers explain every block's output to {error:.1e}")


if __name__ == "__main__":
    sys.exit(run(writers))
