"""Configurations of wrong types, unknown keys, odd text, absurd numbers and nesting; command lines and files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter

from saber.command import explain, to_config
from saber.config import Config
from saber.keys import config_keys, parse_config
from saber.types import UserError
from tests.commands import run_here
from tests.fuzz import check_line, deep, fuzzed, nested, odd_scalar, odd_text, or_one_line

BASE: dict[str, Any] = {
    "model": {"path": "organism"},
    "data": {"source": "organism"},
    "edit": {},
    "evaluate": {},
    "study": {"name": "s"},
}
KEYS = sorted(config_keys())
GROUPS = ["data", "edit", "evaluate", "judge", "launch", "model", "study", "sweep"]
words = st.sampled_from(
    [
        "organism",
        "saber",
        "band",
        "harmless",
        "en",
        "+20",
        "5",
        "0.5",
        "low",
        "high",
        "choices",
        "metric",
        "kld",
        "path",
    ]
)
keys = st.one_of(words, odd_text, st.integers(0, 3), st.none())
values = nested(st.one_of(odd_scalar, words), keys)


def with_value(key: str, value: Any) -> dict[str, Any]:
    """The least configuration with one dotted key set."""
    groups = {name: dict(group) for name, group in BASE.items()}
    *parents, leaf = key.split(".")
    node = groups
    for part in parents:
        node = node.setdefault(part, {})
    node[leaf] = value
    return groups


def check(config: Config) -> None:
    """What was accepted is finite, can be written to a file, and says the same when it is read again."""
    plain = TypeAdapter(Config).dump_python(config)
    assert parse_config(plain) == config
    for value in leaves(plain):
        assert not isinstance(value, float) or math.isfinite(value)
        assert not isinstance(value, str) or "\0" not in value.encode().decode()


def leaves(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else None
    return [value] if inner is None else [leaf for part in inner for leaf in leaves(part)]


@fuzzed("one value of the configuration")
@given(st.sampled_from(KEYS), values)
@example("evaluate.system_prompt", "\ud800")
@example("edit.alpha_base", math.inf)
@example("study.name", "a\n")
def test_any_value_of_any_key(key: str, value: Any) -> None:
    with or_one_line():
        check(parse_config(with_value(key, value)))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("edit.reach", 10**5000),
        ("space", deep(5000, 1)),
        ("study.enqueue", deep(5000, 1, None)),
        ("study.name", ["x\n"] * 100_000),
    ],
    ids=["digits", "mappings", "lists", "length"],
)
def test_what_is_too_large_to_print_is_one_line_too(key: str, value: Any) -> None:
    with pytest.raises(UserError) as caught:
        parse_config(with_value(key, value))
    check_line(str(caught.value))


@fuzzed("a whole configuration")
@given(st.dictionaries(st.one_of(st.sampled_from([*BASE, *KEYS]), keys), values, max_size=5), st.booleans())
@example({"fo\no": 1}, True)
@example({"study": {"name": "s", "a\nb": 1}}, True)
def test_any_mapping_for_a_configuration(mapping: dict[Any, Any], on_base: bool) -> None:
    with or_one_line():
        check(parse_config({**(BASE if on_base else {}), **mapping}))


@fuzzed("an interpolation")
@given(
    st.sampled_from(KEYS),
    st.one_of(
        st.sampled_from(KEYS).map("${{{}}}".format),
        st.tuples(st.sampled_from(["oc.env", "oc.decode", "oc.select", "now", "hydra", "."]), odd_text).map(
            lambda parts: f"${{{parts[0]}:{parts[1]}}}"
        ),
        st.text("${}.:,'ab1 \\", max_size=12),
    ),
)
def test_any_interpolation(key: str, value: str) -> None:
    try:
        with or_one_line():
            check(to_config(OmegaConf.create(with_value(key, value))))
    except OmegaConfBaseException as error:
        check_line(explain(error))


word = st.one_of(
    st.tuples(
        st.sampled_from(["", "+", "++", "~"]),
        st.one_of(st.sampled_from([*KEYS, *GROUPS, "space.edit.reach", "+sweep"]), st.text(max_size=5)),
        st.sampled_from(["=", "", "@x="]),
        st.one_of(words, odd_text, st.text("{}[]:,'\"$\\ ab1.", max_size=8), odd_scalar.map(str)),
    ).map("".join),
    odd_text.filter(lambda text: not text.startswith("-")),
)


def run_with(given_words: list[str], folder: Path) -> list[Config]:
    """Compose in this process as ``python -m saber.sweep`` would; the status is 2 where a line was said."""
    taken: list[Config] = []
    said = run_here("sweep", given_words, folder, taken.append)
    assert said.status == (2 if said.err else 0), said
    if said.err:
        check_line(said.err.removesuffix("\n"))
        assert said.err.startswith("error: ")
    return taken


@fuzzed("words of a command line")
@given(words_given=st.lists(word, min_size=1, max_size=3))
@example(words_given=["study=null"])
@example(words_given=["edit=3"])
@example(words_given=["+=organism"])
@example(words_given=["study.name=${study.name}"])
@example(words_given=["export.dir=${nope}"])
@example(words_given=["edit=" + "a" * 5000])
@example(words_given=["edit.reach=1" + "0" * 5000])
@example(words_given=["+space.x=" + "[" * 200 + "]" * 200])
@example(words_given=["+space.x=" + "{a:" * 60 + "1" + "}" * 60])
@example(words_given=["no\x1b[31mpe=x"])
def test_any_words_on_the_command_line(words_given: list[str], tmp_path_factory: Any) -> None:
    for config in run_with(["+sweep=organism", *words_given], tmp_path_factory.getbasetemp()):
        check(config)


@fuzzed("a file of a group")
@given(
    content=st.one_of(
        st.binary(max_size=40),
        odd_text.map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.text("abc:-{}[]&*!|>#'\"%@,\n \t1.~", max_size=40).map(str.encode),
        st.tuples(st.sampled_from(KEYS), odd_text).map(
            lambda p: f"# @package _global_\n{p[0]}: {p[1]}".encode("utf-8", "surrogatepass")
        ),
    )
)
@example(content=b"a: [1")
@example(content=b"\xff\xfe")
@example(content=b"a: " + b"[" * 1000)
@example(content=b"a: 1" + b"0" * 5000)
def test_any_file_of_a_group(content: bytes, tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.getbasetemp() / "conf"
    (folder / "sweep").mkdir(parents=True, exist_ok=True)
    (folder / "sweep" / "odd.yaml").write_bytes(content)
    for config in run_with([f"--config-dir={folder}", "+sweep=odd", "study.name=s"], folder):
        check(config)
