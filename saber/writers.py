"""List every writer into a model's residual stream: ``python -m saber.writers model.path=...``."""

from __future__ import annotations

import sys

from saber.command import run
from saber.config import Config


def writers(config: Config) -> None:
    """Print every writer, what its output passes before it is added, what no edit can do here, and the guard's word."""
    from rich.console import Console
    from rich.table import Table

    from saber.lm.description import before_the_add, limits, shape
    from saber.lm.guard import verify_writers
    from saber.lm.layouts import MEANING
    from saber.lm.loading import quiet
    from saber.study.workbench import load_base

    quiet()
    adapter = load_base(config)
    table = Table("layer", "kind", "module", "shape", "layout", "before the add", title=config.model.path)
    for writer in adapter.writers:
        table.add_row(
            str(writer.layer),
            writer.kind,
            writer.name,
            shape(writer),
            MEANING[writer.layout].replace("[", "\\["),
            before_the_add(adapter, writer),
        )
    console = Console()
    console.print(table)
    for limit in limits(adapter):
        console.print(f"limit: {limit}", soft_wrap=True)
    error = verify_writers(adapter)
    if error is None:
        console.print("the blocks were not checked: they are declared to be more than a sum of writes", soft_wrap=True)
    else:
        console.print(f"the writers explain every block's output to {error:.1e}")


if __name__ == "__main__":
    sys.exit(run(writers))
