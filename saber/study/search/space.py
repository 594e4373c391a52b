"""The search space: dotted configuration keys, their ranges or choices, and when a key matters at all."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import optuna

from saber.config import Config
from saber.keys import changes_plan, conditions, config_keys, key_type, nearest, options, value_of, with_values
from saber.types import UserError
from saber.vocabulary import shown

PROBE_COUNTS = ("data.n_probe", "data.n_capability", "data.n_borderline")
SEARCHABLE = ("edit.", *PROBE_COUNTS)
ROUNDING = 1e-9  # 0.3 - 0.1 is a little less than 0.2
RANGE_WORDS = {"low", "high", "step", "log"}


@dataclass(frozen=True)
class Knob:
    """One searched key: a numeric range (``step`` or ``log``), or ``choices``."""

    key: str
    low: float | None = None
    high: float | None = None
    step: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()

    def suggest(self, trial: optuna.Trial) -> Any:
        """Ask the sampler for a value of this key's own type."""
        if self.choices:
            return trial.suggest_categorical(self.key, self.choices)
        if key_type(self.key) is int:
            low, high, step = int(self.low or 0), int(self.high or 0), int(self.step or 1)
            return trial.suggest_int(self.key, low, high, step=step, log=self.log)
        value = trial.suggest_float(self.key, self.low or 0.0, self.high or 0.0, step=self.step, log=self.log)
        rounded = round(value, 9)  # a grid point such as 0.825, not 0.8250000000000001
        return rounded if self.holds(rounded) else value

    def holds(self, value: Any) -> bool:
        """Whether a value lies in the range or among the choices."""
        if self.choices:
            return value in self.choices
        return isinstance(value, int | float) and (self.low or 0.0) <= value <= (self.high or 0.0)

    @property
    def extremes(self) -> tuple[Any, ...]:
        """The values whose combinations are checked before a study starts."""
        if self.choices:
            return self.choices
        return (self.low or 0, self.high or 0)


def matters(key: str, config: Config) -> bool:
    """Whether changing ``key`` can change the plan, other values being as they are."""
    return changes_plan(key, config.edit)


@cache
def deciding() -> frozenset[str]:
    """The keys that a condition asks for."""
    return frozenset(f"edit.{path}" for key in options() for condition in conditions(key) for path in condition.asks)


def parse_space(config: Config) -> tuple[Knob, ...]:
    """Read ``space:``, nested or dotted, into knobs: those that decide what else matters come first.

    Raises:
        UserError: an unknown key or word, a range that is empty, a value the key does not allow, or a key that changes
            no plan.
    """
    knobs = [_knob(key, spec) for key, spec in _leaves(config.space, "")]
    known = set(config_keys())
    twice = [key for key, n in Counter(knob.key for knob in knobs).items() if n > 1]
    if twice:
        raise UserError(f"space: expected {twice[0]} once, found it nested and dotted: drop one")
    for knob in knobs:
        if knob.key not in known:
            raise UserError(f"space: unknown key {knob.key}{nearest(knob.key, sorted(known))}")
        if not knob.key.startswith(SEARCHABLE):
            raise UserError(f"space: {knob.key} changes no plan; search keys under edit., or {', '.join(PROBE_COUNTS)}")
    knobs = [_typed(knob, config) for knob in knobs]
    decisive = [k for k in knobs if k.key in deciding()]
    ordered = tuple(sorted(knobs, key=lambda k: (not k.choices and k not in decisive, bool(conditions(k.key)))))
    _check_all_matter(ordered, decisive, config)
    return ordered


def _check_all_matter(knobs: Sequence[Knob], decisive: Sequence[Knob], config: Config) -> None:
    """Refuse a space with a key that does nothing whatever the others are."""
    settings = [
        with_values(config, dict(zip([k.key for k in decisive], values, strict=True)))
        for values in itertools.product(*(_ends(k) for k in decisive))
    ]
    for knob in knobs:
        if not any(matters(knob.key, setting) for setting in settings):
            raise UserError(
                f"space: searching {knob.key} does nothing with the other edit values as they are: drop it, as by"
                f" ~space.{knob.key}"
            )


def _ends(knob: Knob) -> tuple[Any, ...]:
    """Every word, and of numbers the least and the largest: what others depend on is whether there are several."""
    if all(isinstance(value, str) for value in knob.extremes):
        return knob.extremes
    return (min(knob.extremes), max(knob.extremes))


def _typed(knob: Knob, config: Config) -> Knob:
    """The knob with values of its key's own type: ``"4"`` for a whole number is 4, 1.5 is a mistake."""
    allowed = [value_of(with_values(config, {knob.key: value}), knob.key) for value in knob.extremes]
    if not knob.choices:
        if key_type(knob.key) is int and (knob.step or 1) % 1:
            raise UserError(f"space.{knob.key}: expected a whole number for step, found {knob.step}")
        return knob
    if len(set(allowed)) < len(allowed):
        raise UserError(f"space.{knob.key}: expected different choices, found {shown(list(knob.choices))}")
    return replace(knob, choices=tuple(allowed))


def _leaves(node: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, value in node.items():
        key = f"{prefix}{name}"
        if not isinstance(value, Mapping):
            raise UserError(f"space.{key}: expected {{low, high, step|log}} or {{choices}}, found {shown(value)}")
        is_band = any(isinstance(value.get(word), Mapping) for word in ("low", "high"))  # of keys of these names
        if "choices" in value or (value.keys() & RANGE_WORDS and not is_band):
            yield key, value
        else:
            yield from _leaves(value, f"{key}.")


def _knob(key: str, spec: Mapping[str, Any]) -> Knob:
    unknown = set(spec) - RANGE_WORDS - {"choices"}
    if unknown:
        raise UserError(f"space.{key}: unknown word {shown(min(unknown))}; use low, high, step, log or choices")
    if "choices" in spec:
        if len(spec) > 1 or not isinstance(spec["choices"], list | tuple) or len(spec["choices"]) < 2:
            raise UserError(f"space.{key}: expected two or more choices and nothing else, found {shown(dict(spec))}")
        return Knob(key, choices=tuple(spec["choices"]))
    low, high = _number(key, spec, "low"), _number(key, spec, "high")
    step = _number(key, spec, "step") if "step" in spec else None
    log = spec.get("log", False)
    if not isinstance(log, bool):
        raise UserError(f"space.{key}: expected true or false for log, found {shown(log)}")
    if (
        low >= high
        or (step is not None and not 0 < step <= (high - low) * (1 + ROUNDING))
        or (log and (step is not None or low <= 0))
    ):
        raise UserError(
            f"space.{key}: expected low < high and either 0 < step <= high - low or log with low > 0,"
            f" found {shown(dict(spec))}"
        )
    return Knob(key, low=low, high=high, step=step, log=log)


def _number(key: str, spec: Mapping[str, Any], word: str) -> float:
    value = spec.get(word)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"space.{key}: expected a finite number for {word}, found {shown(dict(spec))}")
    return value


def suggest(trial: optuna.Trial, knobs: Sequence[Knob], config: Config) -> Config:
    """Ask for every key that matters given those asked before, and return the configuration of this trial."""
    for knob in knobs:
        if matters(knob.key, config):
            config = with_values(config, {knob.key: knob.suggest(trial)})
    return config


def check_point(values: Mapping[str, Any], knobs: Sequence[Knob]) -> dict[str, Any]:
    """Check a known point against the space, as Optuna would use it unchecked.

    Raises:
        UserError: a key is not searched, or a value lies outside its range.
    """
    by_key = {knob.key: knob for knob in knobs}
    for key, value in values.items():
        if key not in by_key:
            raise UserError(f"study.enqueue: {key} is not searched{nearest(key, sorted(by_key))}")
        if not by_key[key].holds(value):
            raise UserError(f"study.enqueue: {key}={value} lies outside the space")
    return dict(values)


def extremes(key: str, knobs: Sequence[Knob], config: Config) -> tuple[Any, ...]:
    """What a key can be in this study: its choices, the ends of its range, or its one value."""
    for knob in knobs:
        if knob.key == key:
            return knob.extremes
    return (value_of(config, key),)


def probe_sizes(knobs: Sequence[Knob], config: Config) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """The fewest and the most pairs, capability and borderline prompts that a trial of this study looks at."""
    ends = {key: extremes(key, knobs, config) for key in PROBE_COUNTS}
    fewest, most = ({key: end(values) for key, values in ends.items()} for end in (min, max))
    return with_values(config, fewest).data.probe_sizes, with_values(config, most).data.probe_sizes
