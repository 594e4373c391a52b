"""The door to Hydra: compose, validate, run; a user's mistake is one line and exit status 2, never a traceback."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from saber.command_help import help_text
from saber.command_words import read_words
from saber.config import Config
from saber.interrupts import interrupts_come_again
from saber.keys import config_keys, expected_of, nearest, parse_config, with_values
from saber.model_name import model_name
from saber.redaction import masked, public
from saber.saved_run import with_saved_run
from saber.signs import degrade_output
from saber.vocabulary import UserError, one_line

USER_MISTAKE = 2
INTERRUPTED = 130
PIPE_CLOSED = 141
# Faults of a file's name, which more room or more rights would not mend.
NO_PLACE = (FileNotFoundError, NotADirectoryError, IsADirectoryError, FileExistsError)
HELP = frozenset(("-h", "--help"))
NOT_OURS = re.compile(r"Could not override '([^']+)'")
NOT_THERE = re.compile(r"Could not delete from config\. '([^']+)' does not exist")
NOT_MERGED = re.compile(r"Error merging override (?:\+\+)?([^=]+)=(.*)")
TWICE = re.compile(r"^Multiple values for (\w+)|(\w+) appears more than once in the final defaults list")
THERE = re.compile(r"An item is already at '([^']+)'")
# What Hydra lets through of odd words and files.
NOT_COMPOSED = (
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    YAMLError,
)


def run(task: Callable[[Config], None], argv: Sequence[str] | None = None) -> int:
    """Run one entry point on the command line's overrides and return its exit status."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let errors reach us instead of Hydra's own printing

    def every_configuration() -> None:
        words = list(sys.argv[1:] if argv is None else argv)
        if not HELP.isdisjoint(words):
            print(help_text(_program(), task), end="")
            return
        sys.argv = [sys.argv[0], *read_words(words)]
        for config in apart([with_saved_run(to_config(values, overrides)) for values, overrides in _compose()]):
            _say_what_is_trusted(config)
            task(config)

    return in_one_line(every_configuration)


def _program() -> str:
    """What the user typed to get here: ``saber sweep``, or ``python -m saber.sweep``."""
    name = Path(sys.argv[0])
    return f"python -m saber.{name.stem}" if name.suffix == ".py" else sys.argv[0]


def _say_what_is_trusted(config: Config) -> None:
    if config.model.trust_remote_code:
        print(
            f"model.trust_remote_code: Python files that come with {public(config.model.path)} run on this machine with"
            " your rights, and can do all that you can; read them first",
            file=sys.stderr,
        )


def in_one_line(action: Callable[[], None]) -> int:
    """Do something and return the exit status; what the user can mend is one line on stderr."""
    degrade_output()
    try:
        with interrupts_come_again():
            action()
            sys.stdout.flush()
    except BrokenPipeError:  # whoever reads what is printed, such as head, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except (UserError, HydraException, OmegaConfBaseException) as error:
        print(f"error: {masked(explain(error))}", file=sys.stderr)
        return USER_MISTAKE
    except OSError as error:
        mend = "name another place" if isinstance(error, NO_PLACE) else "free space or permit writing"
        print(f"error: {error}; {mend}, then run the same command again", file=sys.stderr)
        return USER_MISTAKE
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        return INTERRUPTED
    return 0


def _compose() -> list[tuple[DictConfig, list[str]]]:
    """What Hydra makes of the command line: one configuration, several with --multirun, none with --help or --cfg.

    Nothing runs inside Hydra's job, as that would print a preamble of its own before our one line.
    """
    composed: list[tuple[DictConfig, list[str]]] = []

    @hydra.main(version_base="1.3", config_path="pkg://saber.conf", config_name="run")
    def main(values: DictConfig) -> None:
        words: Any = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)  # as they were given
        composed.append((values, [*_own_folder(), *words]))

    try:
        main()
    except (HydraException, OmegaConfBaseException):  # some are a ValueError too, and `explain` knows them
        raise
    except NOT_COMPOSED as error:
        raise UserError(
            f"expected words and files that compose, found {type(error).__name__}: {error}; mend them"
        ) from error
    return composed


def _own_folder() -> list[str]:
    """The word for a folder of the user's own configurations, so that the next command can be written with it."""
    sources = HydraConfig.get().runtime.config_sources
    return [f"--config-dir={source.path}" for source in sources if source.provider == "command-line"]


def configure(*words: str) -> Config:
    """The configuration that words of the command line compose: ``configure("+sweep=organism", "study.n_trials=8")``.

    Raises:
        UserError, HydraException: a word names nothing, or a value is out of bounds.
    """
    overrides = read_words(words)
    with initialize_config_module("saber.conf", version_base="1.3"):
        return to_config(compose("run", overrides=overrides), overrides)


def to_config(values: DictConfig, overrides: Sequence[str] = ()) -> Config:
    """Check a composed configuration; ``overrides`` are the words that it was composed from.

    Raises:
        UserError: a value that must be given is missing, a key is unknown, or a value is out of bounds.
    """
    try:
        missing = _missing(OmegaConf.to_container(values, resolve=False))
        plain: Any = {} if missing else OmegaConf.to_container(values, resolve=True)
    except RecursionError as error:
        raise UserError("expected a configuration of a few levels, found hundreds: flatten it") from error
    if missing:
        raise UserError(f"expected a value for {', '.join(missing)}, found none: give it, or add +sweep=organism")
    return parse_config({**plain, "overrides": list(overrides)})


def _missing(node: Any, path: str = "") -> list[str]:
    """The keys whose value must be given, before anything that refers to them is looked up."""
    if isinstance(node, dict):
        return [key for name, value in node.items() for key in _missing(value, f"{path}.{name}" if path else str(name))]
    return [path] if node == "???" else []


OmegaConf.register_new_resolver("model_name", model_name, replace=True)


def apart(configs: Sequence[Config]) -> list[Config]:
    """Give each study of a --multirun its own name: what it says otherwise than the others, as in ``_seed1``.

    Names that differ already, as with ``study.name=organism_s${organism.seed}``, stay.

    Raises:
        UserError: two studies would still have the same name.
    """
    if len({(own.study.dir, own.study.name) for own in configs}) == len(configs):
        return list(configs)
    named: list[Config] = []
    for config in configs:
        own = [word.lstrip("+") for word in config.overrides if not all(word in other.overrides for other in configs)]
        parts = [
            re.sub(r"[^A-Za-z0-9.-]+", "", word.partition("=")[0].split(".")[-1] + word.partition("=")[2])
            for word in own
        ]
        name = "_".join([config.study.name, *parts])
        word = f"study.name={name}"
        overrides = [*(other for other in config.overrides if not other.lstrip("+").startswith("study.name=")), word]
        named.append(with_values(config, {"study.name": name, "overrides": overrides}))
    names = [own.study.name for own in named]
    if len(set(names)) < len(names):
        raise UserError(
            f"--multirun: expected a name for each study, found {', '.join(names)};"
            " set one that differs, such as study.name=organism_s${organism.seed}"
        )
    return named


def explain(error: Exception) -> str:
    """One line for an error of ours, Hydra's or OmegaConf's, with the nearest names where a name is unknown."""
    if isinstance(error, UserError):
        return str(error)
    return one_line(_first_lines(error))


def _first_lines(error: Exception) -> str:
    text = str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        name = str(error.missing_cfg_file)
        options = [str(option) for option in error.options or []]
        if "/" not in name:  # not an option of a group
            return f"expected a file {name}.yaml, found none: mend --config-name, or leave it out and add +sweep=NAME"
        given = name.rsplit("/", 1)[-1]
        known = f"; there are {', '.join(sorted(options))}" if options else ""
        return f"unknown {name.replace('/', '=', 1)}{nearest(given, options)}{known}"
    if match := NOT_OURS.search(text):
        return f"unknown key {match[1]}{nearest(match[1], config_keys())}"
    if match := NOT_THERE.search(text):
        return f"expected {match[1]} to be there for ~{match[1]} to take it out, found none: leave that word out"
    if match := NOT_MERGED.search(text):
        return f"{match[1]}: {expected_of(match[1])}, found {match[2]}"
    if match := TWICE.search(text):
        return f"expected one choice of {match[1] or match[2]}, found two: leave out one, or the + before it"
    if match := THERE.search(text):
        return f"expected {match[1]} without a +, as it is there already, found +{match[1]}=...: leave the + out"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0] + (f" ({lines[1]})" if len(lines) > 1 else "")
