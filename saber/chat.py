"""Talk to a point of a study: ``python -m saber.chat +sweep=organism point=balanced against=base``."""

from __future__ import annotations

import sys

from saber.command import run
from saber.config import Config

MAX_NEW_TOKENS = 256


def chat(config: Config) -> None:
    """Load the base once, edit it virtually as the point does, and answer until the input ends."""
    from saber.console import terminal
    from saber.lm.loading.load import quiet
    from saber.publish.chat import Chat
    from saber.publish.chat_terminal import ChatTerminal, typed_lines
    from saber.study.context import load_base, study_folder
    from saber.study.run.session import calm_optuna, storage_faults
    from saber.study.store.storage import load_study

    quiet()
    calm_optuna()
    with storage_faults():
        study = load_study(config)
    talk = Chat(study, config, load_base(config), study_folder(config))
    ChatTerminal(talk, terminal(), MAX_NEW_TOKENS).run(typed_lines())


if __name__ == "__main__":
    sys.exit(run(chat))
