"""Valid command lines, data folders and sweep files with one or two slips: one line, a list, or a valid study.

``python -m tests.fuzz.slips 2000 0`` runs two thousand from seed 0 and prints what came of them and what failed.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from saber.study.preflight import preflight
from tests.commands import run_here
from tests.fuzz import check_line
from tests.small_data import few_prompts

CPU_S = 2.0  # of this process, so that others on the machine do not count
CONF = Path(__file__).parents[2] / "conf"
GOOD_WORDS = (
    "study.n_trials=20", "study.n_trials=+20", "edit.alpha_base=0.5", "edit.reach=2", "edit=arditi",
    "evaluate=default", "evaluate.max_new_tokens=16", "evaluate.marker_list=[en,de]", "study.sampler=tpe",
    "study.name=mine", "data.n_probe=40",
    "study.objectives=[{metric: refusal_rate}, {metric: kld, reference: 0.5}]", "launch.trials_per_batch=auto",
    "study.constraints=[{metric: capability, at_least: 0.5}]", "+space.edit.decay={low: 0.5, high: 1.0}", "judge=none",
    "model.system_prompt='You are kind.'", "point=balanced", "study.refusal_cap=0.1", "model.dtype=float32",
    "study.enqueue=[{edit.alpha_base: 0.825}]", "export.dir=outputs", "splits=[tune]", "~space.data",
)  # fmt: skip
ODD_VALUES = ("", "0", "-1", "-5", "1e999", "nan", "null", "true", "many", "3.5", "[]", "{}", "[1, 2]", "{a: 1}", "a,b",
              "a#b", "a=b", "ä", "$x", "${study.name}", "/nowhere", "C:\\x", "x" * 300, "'", '"',
              "1" + "0" * 30)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A command line, with the slips that were made in it and in the files that it names."""

    words: list[str]
    slips: list[str]


@dataclass(frozen=True)
class Came:
    """What came of a case: ``valid``, ``one line``, ``a list`` or ``FAILED``, and what was said."""

    what: str
    said: str
    cpu_s: float


def slip_of_text(rng: random.Random, text: str) -> str:
    """One slip of a hand in a word: a sign left out, doubled, swapped, changed or added."""
    at = rng.randrange(len(text)) if text else 0
    slips: list[Callable[[], str]] = [
        lambda: text[:at] + text[at + 1 :],
        lambda: text[:at] + text[at : at + 1] * 2 + text[at + 1 :],
        lambda: text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :],
        lambda: text[:at] + rng.choice("=,.:;#{}[]'\" +-~@$%\\/ä–\t") + text[at:],
        lambda: text[:at] + text[at : at + 1].swapcase() + text[at + 1 :],
        lambda: text.replace("=", rng.choice([" = ", "= ", ":", "==", ""]), 1),
        lambda: text.lstrip("+~"),
        lambda: "+" + text,
        lambda: text.partition(".")[2] or text,
        lambda: f"{text.partition('=')[0]}={rng.choice(ODD_VALUES)}",
        lambda: text.replace("_", "-", 1),
    ]
    return rng.choice(slips)()


def slip_of_words(rng: random.Random, words: list[str]) -> str:
    """One slip in a command line."""
    at = rng.randrange(len(words))
    before = words[at]
    kind = rng.choice(["sign", "sign", "sign", "sign", "left out", "doubled", "split", "joined"])
    if kind == "left out":
        del words[at]
    elif kind == "doubled":
        words.insert(at, before)
    elif kind == "split":
        words[at : at + 1] = before.split(rng.choice(["=", ".", " "]), 1)
    elif kind == "joined" and at + 1 < len(words):
        words[at : at + 2] = [before + words[at + 1]]
    else:
        words[at] = slip_of_text(rng, before)
    return f"{kind}: {before}"


def _a_folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def slip_of_data(rng: random.Random, folder: Path) -> str:
    """One slip in a folder of prompt files."""
    files = sorted(path for path in folder.glob("few-*") if path.is_file())
    if not files:
        return "no file is left"
    path = rng.choice(files)
    raw = path.read_bytes()
    rows = raw.splitlines(keepends=True) or [b""]
    at = rng.randrange(len(rows))
    slips: dict[str, Callable[[], object]] = {
        "removed": path.unlink,
        "renamed": lambda: path.rename(path.with_suffix(rng.choice([".json", ".csv", ".txt", ".tsv", ".parquet", ""]))),
        "emptied": lambda: path.write_bytes(b""),
        "cut": lambda: path.write_bytes(raw[: rng.randrange(len(raw) or 1)]),
        "a byte": lambda: path.write_bytes(raw[:at] + bytes([rng.randrange(256)]) + raw[at + 1 :]),
        "latin-1": lambda: path.write_bytes(raw + '{"prompt": "é"}\n'.encode("latin-1")),
        "utf-16": lambda: path.write_bytes(raw.decode("utf-8", "replace").encode("utf-16")),
        "BOM and CRLF": lambda: path.write_bytes(b"\xef\xbb\xbf" + raw.replace(b"\n", b"\r\n")),
        "a row without prompt": lambda: path.write_bytes(raw + b'{"promt": "x"}\n'),
        "an odd prompt": lambda: path.write_bytes(
            raw + json.dumps({"prompt": rng.choice([None, 3, "", [], {}, True])}).encode()
        ),
        "an array": lambda: path.write_bytes(json.dumps([{"prompt": "x"}], indent=1).encode()),
        "all the same": lambda: path.write_bytes(rows[0] * len(rows)),
        "another kind's row": lambda: path.write_bytes(raw + rng.choice(files).read_bytes().partition(b"\n")[0]),
        "a row left out": lambda: path.write_bytes(b"".join(rows[:at] + rows[at + 1 :])),
        "few rows": lambda: path.write_bytes(b"".join(rows[:3])),
        "a folder": lambda: _a_folder_instead(path),
        "a long line": lambda: path.write_bytes(raw + json.dumps({"prompt": "x " * 50_000}).encode()),
    }  # fmt: skip
    kind = rng.choice(sorted(slips))
    slips[kind]()
    return f"{path.name}: {kind}"


def slip_of_file(rng: random.Random, text: str) -> tuple[str, str]:
    """One slip in a sweep file: a sign, a tab, a line, an indentation."""
    lines = text.splitlines()
    at = rng.randrange(len(lines))
    before = lines[at]
    kind = rng.choice(["sign", "sign", "left out", "doubled", "indented", "outdented", "tab"])
    if kind == "left out":
        del lines[at]
    elif kind == "doubled":
        lines.insert(at, before)
    elif kind == "indented":
        lines[at] = "  " + before
    elif kind == "outdented":
        lines[at] = before.lstrip()
    elif kind == "tab":
        lines[at] = "\t" + before.lstrip()
    else:
        lines[at] = slip_of_text(rng, before)
    return "\n".join(lines) + "\n", f"{kind}: {before.strip()}"


def case_of(seed: int, folder: Path) -> Case:
    """The case of a seed, its files written into ``folder``."""
    rng = random.Random(seed)
    places = [f"study.dir={folder}/sweeps", f"export.dir={folder}/outputs"]
    words = rng.sample(GOOD_WORDS, rng.randint(1, 4))
    slips: list[str] = []
    kind = rng.choice(["words", "words", "data", "data", "file"])
    if kind == "data":
        words = few_prompts(folder)
        slips = [slip_of_data(rng, folder) for _ in range(rng.randint(1, 2))]
    if kind == "file":
        text = (CONF / "sweep" / "organism.yaml").read_text(encoding="utf-8")
        for _ in range(rng.randint(1, 2)):
            text, slip = slip_of_file(rng, text)
            slips.append(slip)
        (folder / "conf" / "sweep").mkdir(parents=True)
        (folder / "conf" / "sweep" / "odd.yaml").write_text(text, encoding="utf-8")
        return Case([f"--config-dir={folder}/conf", "+sweep=odd", *places], slips)
    words = ["+sweep=organism", *words]
    if kind == "words" or rng.random() < 0.2:
        slips += [slip_of_words(rng, words) for _ in range(rng.randint(1, 2)) if words]
    return Case([*(word for word in words if not word.startswith("-")), *places], slips)


def came_of(case: Case, folder: Path) -> Came:
    """Run a case up to where its model would be loaded."""
    started = time.process_time()
    try:
        said = run_here("sweep", case.words, folder, check)
    except BaseException:  # noqa: BLE001 - whatever comes out is what this looks for
        return Came("FAILED", traceback.format_exc(), time.process_time() - started)
    spent = time.process_time() - started
    problem = wrong_with(said.status, said.err, spent, folder)
    if problem:
        return Came("FAILED", f"{problem}: {said.err}", spent)
    return Came("valid" if said.status == 0 else "a list" if said.err.count("\n") > 1 else "one line", said.err, spent)


def check(config: object) -> None:
    """The preflight, as a sweep would do it."""
    preflight(config, searching=True)  # type: ignore[arg-type]  # a Config


def wrong_with(status: int, err: str, spent: float, folder: Path) -> str:
    """What is wrong with how a case ended, if anything."""
    if status not in (0, 2):
        return f"status {status}"
    if status == 2:
        try:
            check_line(err.removesuffix("\n"))
        except AssertionError as error:
            return f"not a line ({error})"
        if not err.startswith("error: "):
            return "no error"
    if (folder / "sweeps").exists():
        return "something was left"
    return f"{spent:.1f} s" if spent > CPU_S else ""


def run(seeds: Sequence[int]) -> tuple[Counter[str], list[tuple[int, Case, Came]], float]:
    """Run many cases: how many came to what, those that failed, and the longest in seconds of this process."""
    with tempfile.TemporaryDirectory() as warm:
        came_of(Case(["+sweep=organism", f"study.dir={warm}/sweeps"], []), Path(warm))  # what is imported once
    counts: Counter[str] = Counter()
    failed: list[tuple[int, Case, Came]] = []
    longest = 0.0
    for seed in seeds:
        folder = Path(tempfile.mkdtemp(prefix="slips-"))
        try:
            case = case_of(seed, folder)
            came = came_of(case, folder)
        finally:
            shutil.rmtree(folder)
        counts[came.what] += 1
        longest = max(longest, came.cpu_s)
        if came.what == "FAILED":
            failed.append((seed, case, came))
    return counts, failed, longest


def main(n: int, first: int) -> int:
    """Print what came of ``n`` cases; the status is 1 where one failed."""
    counts, failed, longest = run(range(first, first + n))
    for seed, case, came in failed:
        print(f"seed {seed}: {case.slips}\n  {case.words}\n  {came.said}")
    print(f"{n} cases from seed {first}: {dict(counts.most_common())}; the longest took {longest:.2f} s of CPU")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
