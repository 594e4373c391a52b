"""Names of studies, points and storages that reach the file system: refused, or kept within their folder."""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy.exc import SAWarning

from saber.keys import parse_config
from saber.study.context import study_folder
from saber.study.front.points import find_point
from saber.study.store.storage import one_driver, open_storage
from saber.types import UserError
from tests.fuzz import check_line, fuzzed, odd_text, or_one_line
from tests.fuzz.test_config import BASE

path_like = st.one_of(odd_text, st.text("./\\~ab-_\n\0", max_size=12), st.text("abc.-_019", min_size=1, max_size=120))


@fuzzed("the name of a study")
@given(name=path_like)
@example(name="..")
@example(name=".hidden")
@example(name="a/../../b")
@example(name="a\n")
@example(name="a" * 101)
def test_a_study_stays_in_its_folder(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.getbasetemp() / "names"
    with or_one_line():
        config = parse_config({**BASE, "study": {"name": name, "dir": str(root)}})
        with one_driver(study_folder(config)):
            assert study_folder(config).resolve().parent == root.resolve()
            assert study_folder(config).name in {path.name for path in root.iterdir()}


@fuzzed("the name of a point that is asked for")
@given(name=path_like)
def test_a_point_is_looked_up_and_never_a_path(name: str) -> None:
    with contextlib.suppress(UserError):
        point = parse_config({**BASE, "point": name}).point
        with pytest.raises(UserError) as caught:
            find_point((), point)
        check_line(str(caught.value))


@fuzzed("where a study is kept")
@given(
    study=st.one_of(
        path_like.filter(lambda text: "://" not in text).map(lambda text: {"dir": f"./{text}"}),
        path_like.map(lambda text: {"storage": text}),
        st.sampled_from(["///x.db?mode=zzz", "/x", "//", "///\0", "+none:///x"]).map(
            lambda t: {"storage": f"sqlite:{t}"}
        ),
    )
)
@example(study={"storage": "mysql+nodriver://127.0.0.1:1/x"})
@example(study={"storage": "oracle://127.0.0.1:1/x"})
@example(study={"storage": "postgresql://127.0.0.1:port/x"})
@example(study={"dir": "x" * 5000})
@example(study={"dir": "a?mode=memory"})
@example(study={"dir": "a{0}"})
@example(study={"dir": "a#b%41 c"})
@example(study={"storage": "sqlite:///{0}.db"})
def test_any_place_of_a_study(study: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    base = tmp_path_factory.getbasetemp() / "kept" / "a" / "b" / "c" / "d" / "e" / "f"
    base.mkdir(parents=True, exist_ok=True)
    with contextlib.chdir(base):
        for create in (False, True):
            with or_one_line(), warnings.catch_warnings():
                warnings.simplefilter("ignore", SAWarning)  # words of a URL that SQLite does not know
                config = parse_config({**BASE, "study": {"name": "s", **study}})
                open_storage(config, create=create).engine.dispose()
                assert "dir" not in study or (study_folder(config) / "study.db").is_file()
    assert {path.name for path in Path(base).parents[5].iterdir()} == {"a"}
