"""List every writer into a model's residual stream: ``python -m saber.writers model.path=... [--propose]``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from saber.command import run
from saber.config import Config

PROPOSE = ("--propose", "propose=true")


def writers(config: Config) -> None:
    """Print every writer, what its output passes before it is added, what no edit can do here, and the guard's word."""
    from rich.table import Table

    from saber.console import terminal
    from saber.lm.architecture.adapter import before_the_add, limits, shape
    from saber.lm.architecture.verify import verify_writers
    from saber.lm.architecture.writer_rows import MEANING
    from saber.lm.loading.load import quiet
    from saber.study.context import load_base

    quiet()
    adapter = load_base(config)
    layouts = sorted({writer.layout for writer in adapter.writers})
    table = Table("layer", "kind", "module", "shape", "layout", "before the add", box=None, title=config.model.path)
    for writer in adapter.writers:
        module = writer.name.removeprefix(f"{adapter.blocks_path}.{writer.layer}.")
        table.add_row(
            str(writer.layer), writer.kind, module, shape(writer), writer.layout, before_the_add(adapter, writer)
        )
    console = terminal()
    console.print(table)
    console.print(f"modules are relative to {adapter.blocks_path}.<layer>", soft_wrap=True)
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


def proposal(config: Config) -> None:
    """Print the row that an undeclared family would need, as far as one pass shows it, and what the guard says of it.

    Raises:
        UserError: no row explains the model's blocks.
    """
    from saber.console import terminal
    from saber.lm.architecture.adapter import adapt_as
    from saber.lm.architecture.proposal import as_code, propose
    from saber.lm.architecture.text_half import text_type
    from saber.lm.architecture.unserved import why_unserved
    from saber.lm.architecture.verify import verify_writers
    from saber.lm.loading.load import quiet, read_model, reading_of

    quiet()
    model, _ = read_model(str(Path(config.model.path).expanduser()), **reading_of(config.model))
    family = propose(model)
    console = terminal()
    line = f'({as_code(family)}, ("{text_type(model.config)}",)),'
    console.print(line, soft_wrap=True, highlight=False, markup=False)
    error = verify_writers(adapt_as(family, model, None))
    console.print(
        f"a guess, and not used: with it the writers explain every block's output to {error:.1e}; check it against the"
        " model's code, then declare it as docs/families.md shows",
        soft_wrap=True,
    )
    unserved = why_unserved(model.config, text_type(model.config))
    if unserved is not None:
        console.print(f"{unserved[0]} is refused all the same: {unserved[1]}", soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the words ask for: the writers, with ``--propose`` a new row, with ``--table`` the table of the page."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words == ["--table"]:
        from saber.lm.architecture.family_table import family_table

        print(family_table())
        return 0
    asked = [word for word in words if word in PROPOSE]
    return run(proposal if asked else writers, [word for word in words if word not in PROPOSE])


if __name__ == "__main__":
    sys.exit(main())
