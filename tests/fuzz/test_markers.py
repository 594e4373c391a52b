"""Files of refusal markers: any bytes are a list of phrases with words in them, or a line that says why not."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from saber.scoring.markers import parse_markers, read_markers
from saber.types import UserError
from tests.fuzz import fuzzed, nested, odd_scalar, odd_text, or_one_line

ALIASES = "a0: &a0 [x]\n" + "".join(f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 10)}]\n" for i in range(9))
phrases = st.one_of(st.text("ab (|)'\n", max_size=14), odd_text.filter(lambda text: len(text) < 100))
lists = st.fixed_dictionaries(
    {"whole_words": st.sampled_from(["true", "false", True, "no"]), "phrases": st.lists(phrases, max_size=4)}
).map(lambda stated: yaml.safe_dump(stated).encode("utf-8", "surrogatepass"))
odd_yaml = st.one_of(
    st.binary(max_size=60),
    lists,
    nested(odd_scalar, odd_text, 4).map(lambda value: repr(value).encode("utf-8", "surrogatepass")),
    st.text("whole_words: true\nphrases: -[]{}&*!|>#'\"%@,\t", max_size=60).map(str.encode),
)


@fuzzed("a file of markers")
@given(content=odd_yaml)
@example(content=b"[" * 10_000)
@example(content=ALIASES.encode())
@example(content=b"whole_words: true\nphrases: ['" + b"(a|b)" * 60 + b"']")
@example(content=b"a: &a [*a]")
@example(content=b"? [a]\n: b")
def test_any_file_of_markers(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = Path(tmp_path_factory.getbasetemp(), "markers.yaml")
    path.write_bytes(content)
    read_markers.cache_clear()
    with or_one_line():
        markers = read_markers(str(path))
        assert markers
        assert len(set(markers)) == len(markers)
        for marker in markers:
            assert any(sign.isalnum() for sign in marker)
            assert marker.strip() == " ".join(marker.split())


def test_many_phrases_of_many_readings_do_not_fill_the_memory() -> None:
    phrases = "".join(f"- {i} {'(a|b)' * 13}\n" for i in range(2000))
    with pytest.raises(UserError, match="at most 10000 readings of all phrases"):
        parse_markers(f"whole_words: true\nphrases:\n{phrases}", "mine")


def test_aliases_that_multiply_do_not_fill_the_memory() -> None:
    with pytest.raises(UserError, match="expected whole_words"):
        parse_markers(ALIASES, "mine")
