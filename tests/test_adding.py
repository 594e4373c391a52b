"""What the page on the house says of adding: an extraction, a reader, a family and a key, in a copy of the package."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXTRACTION = '''
"""``first_pair``: the difference of the first pair."""


def directions(harmful, harmless, _n_directions, _is_paired):
    return harmful[:1] - harmless[:1]
'''
USE_OF_EXTRACTION = """
import torch
from saber.keys import parse_config
from saber.method.ranking import rank
from saber.types import Activations

seen = Activations(*torch.randn(3, 2, 4, 5))
plain = {"model": {"path": "x"}, "data": {"source": "organism"}, "evaluate": {}, "study": {"name": "s"}}
edit = parse_config({**plain, "edit": {"extraction": "first_pair", "purify": "none"}}).edit
(found,) = rank(seen, edit).directions[0]
apart = seen.harmful[0, 0] - seen.harmless[0, 0]
assert abs(abs(float(found.direction.vector @ apart)) - float(apart.norm())) < 1e-4  # oriented by the means
"""
READER = '''
"""``twice``: a direction's double, less the mean of what is spared."""


def readers(directions, undisturbed, _options):
    return 2 * directions - undisturbed[0].mean(dim=0)
'''
USE_OF_READER = """
import torch
from saber.keys import parse_config
from saber.lm.planning import PlanRequest, _Draft, add_round
from saber.types import Activations

seen = Activations(*torch.randn(3, 2, 4, 5))
plain = {"model": {"path": "x"}, "data": {"source": "organism"}, "evaluate": {}, "study": {"name": "s"}}
band = {"depth_band": {"low": 0.0, "high": 1.0}}
edit = parse_config({**plain, "edit": {"reader": "twice", "spares": "harmful", **band}}).edit
draft = _Draft(PlanRequest(edit, (4, 4, 4)), seen)
add_round(draft)
(placed,) = draft.rounds
for i, layer in torch.nonzero(placed.strengths.abs().sum(dim=2)).tolist():
    wanted = 2 * placed.directions[i] - seen.harmful[layer].mean(dim=0)
    torch.testing.assert_close(placed.readers[i, layer], wanted)
assert placed.readers.any()
"""
FIELD = """
    halved: Annotated[int, Option("Times halved", code="hv", when=when("strength", "uniform"))] = Field(default=0, ge=0)
"""
READ = "    factor = factor / 2**options.halved\n"
USE_OF_KEY = """
import torch
from saber.config import EditConfig
from saber.keys import config_keys, option_of
from saber.method.strength import scaled
from saber.study.search.names import point_name
from saber.study.search.space import matters, parse_space
from saber.keys import parse_config
from saber.types import Direction, RankedDirection

space = {"edit": {"halved": {"low": 1, "high": 3}}}
plain = {"model": {"path": "x"}, "data": {"source": "organism"}, "evaluate": {}, "study": {"name": "s"}, "space": space}
config = parse_config({**plain, "edit": {"strength": "uniform", "halved": 2, "alpha_base": 1.0}})
assert [knob.key for knob in parse_space(config)] == ["edit.halved"]
assert matters("edit.halved", config)
assert not matters("edit.halved", parse_config({**plain, "edit": {}}))
assert point_name({"edit.halved": 2, "edit.alpha_base": 1.0}, (), 0) == "a1000_hv2"
assert option_of("edit.halved").label == "Times halved"
ranked = RankedDirection(Direction(0, 0, torch.ones(1)), 1.0, 0.0)
assert [strength for _, _, strength in scaled([ranked], {}, config.edit, factor=1.0)] == [0.25]
"""
ROW = '    (PRE_NORM, ("new_family",)),\n'
USE_OF_FAMILY = """
from saber.lm.architecture.families import FAMILIES
assert FAMILIES["new_family"] is FAMILIES["llama"]
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package, to be changed."""
    shutil.copytree(ROOT / "saber", tmp_path / "saber", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def put(path: Path, before: str, text: str) -> None:
    """Write some text before the one place where something stands."""
    head, place, tail = path.read_text(encoding="utf-8").partition(before)
    assert place
    assert before not in tail
    path.write_text(head + text + place + tail, encoding="utf-8")


def runs(copy: Path, script: str) -> None:
    here = f"import saber; assert saber.__file__.startswith({str(copy)!r})\n"
    done = subprocess.run([sys.executable, "-c", here + script], cwd=copy, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]


def test_an_extraction_is_one_file(copy: Path) -> None:
    (copy / "saber" / "method" / "extractions" / "first_pair.py").write_text(EXTRACTION, encoding="utf-8")
    runs(copy, USE_OF_EXTRACTION)


def test_a_reader_of_outputs_is_one_file(copy: Path) -> None:
    (copy / "saber" / "method" / "readers" / "twice.py").write_text(READER, encoding="utf-8")
    runs(copy, USE_OF_READER)


def test_a_search_key_is_a_field_and_where_its_step_reads_it(copy: Path) -> None:
    put(copy / "saber" / "options" / "strength_options.py", "    @property\n", FIELD)
    put(copy / "saber" / "method" / "strength.py", "    base, entangled = options.alpha_base", READ)
    runs(copy, USE_OF_KEY)


def test_a_family_is_one_row(copy: Path) -> None:
    put(copy / "saber" / "lm" / "architecture" / "families.py", '    (PRE_NORM, ("apertus"', ROW)
    runs(copy, USE_OF_FAMILY)
