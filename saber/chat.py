"""Talk to a point of a study: ``python -m saber.chat +sweep=organism point=balanced against=base``."""

from __future__ import annotations

import sys

from saber.command import run
from saber.config import Config

MAX_NEW_TOKENS = 256


def chat(config: Config) -> None:
    """Load the base once, speak to it as its study does, edited virtually as the point is, until the input ends."""
    from saber.console import announce, terminal
    from saber.lm.loading.load import quiet
    from saber.publish.chat_terminal import ChatTerminal, typed_lines
    from saber.publish.conversation import Chat, told_of_format
    from saber.study.chat_recognition import as_studied
    from saber.study.context import load_base, study_folder
    from saber.study.run.session import calm_optuna, storage_faults
    from saber.study.store.storage import load_study

    quiet()
    calm_optuna()
    with storage_faults():
        study = load_study(config)
    folder = study_folder(config)
    adapter = as_studied(load_base(config), config, folder, announce)
    if line := told_of_format(study, adapter):
        announce(line)
    talk = Chat(study, config, adapter, folder)
    ChatTerminal(talk, terminal(), MAX_NEW_TOKENS).run(typed_lines())


if __name__ == "__main__":
    sys.exit(run(chat))
