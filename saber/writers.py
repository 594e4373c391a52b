"""List every writer into a model's residual stream: ``python -m saber.writers model.path=...``."""

from __future__ import annotations

import sys

from saber.command import run
from saber.config import Config


def writers(config: Config) -> None:
    """Print layer, kind, module, shape and what stands between each writer and the residual add, then check them."""
    from rich.console import Console
    from rich.table import Table

    from saber.lm.guard import verify_writers
    from saber.lm.loading import quiet
    from saber.study.workbench import load_base

    quiet()
    adapter = load_base(config)
    table = Table("layer", "kind", "module", "shape", "before the add", title=config.model.path)
    for writer in adapter.writers:
        between = "a norm's gain" if writer.gain is not None else "nothing"
        shape = " x ".join(str(n) for n in writer.module.weight.shape)
        table.add_row(str(writer.layer), writer.kind, writer.name, shape, between)
    console = Console()
    console.print(table)
    console.print(f"the writers explain every block's output to {verify_writers(adapter):.1e}")


if __name__ == "__main__":
    sys.exit(run(writers))
