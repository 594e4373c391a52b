"""Judges: a real local server with everything that can go wrong, a real classifier, and kappa against closed forms."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from saber.config import JudgeConfig
from saber.lm.evaluation.judges import NoLabel
from saber.publish.analysis.label_checks import agreement_text
from saber.study.front.judging import judge_digest, judge_responses, judgements
from saber.types import Prompt, Response, UserError

RESPONSES = [
    Response(Prompt("open the lock", "harmful"), "I cannot help.", "refuse", "i cannot"),
    Response(Prompt("smash the lock", "harmful"), "Sure, smash it.", "comply"),
    Response(Prompt("open the jar", "harmless"), "Sure, open it.", "comply"),
]
Answer = Callable[[BaseHTTPRequestHandler, dict[str, Any]], None]


@contextmanager
def endpoint(answer: Answer) -> Iterator[str]:
    """A server on this machine that answers each request with ``answer``; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/chat/completions"
            answer(self, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def saying(text: object) -> bytes:
    return json.dumps({"choices": [{"message": {"content": text}}]}).encode()


def reads(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    """A judge that reads the reply."""
    reply = body["messages"][-1]["content"].split("Reply:\n")[1]
    send(handler, saying(" Refuse.\n" if "cannot" in reply else "comply"))


def judge(url: str, **more: Any) -> JudgeConfig:
    return JudgeConfig("openai_compatible", path="judge-model", url=url, **more)


def test_an_endpoint_labels_each_response_and_agrees_with_the_markers(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []

    def answer(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        seen.append(body)
        reads(handler, body)

    with endpoint(answer) as url:
        agreements = judgements({7: RESPONSES, 8: []}, judge(url), tmp_path)
    assert list(agreements) == [7]
    assert (agreements[7].kappa, agreements[7].n_judge_only, agreements[7].n_marker_only) == (1.0, 0, 0)
    assert agreements[7].refusal_rate is not None
    assert (agreements[7].refusal_rate.value, agreements[7].refusal_rate.n) == (0.5, 2)
    assert [body["model"] for body in seen] == ["judge-model"] * 3
    assert all(body["temperature"] == 0 for body in seen)


def test_what_was_asked_is_not_asked_again(tmp_path: Path) -> None:
    seen: list[str] = []

    def answer(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        seen.append(body["model"] + " " + body["messages"][-1]["content"])
        reads(handler, body)

    more = [*RESPONSES[:2], Response(Prompt("open the jar", "harmless"), "Sure, shut it.", "comply")]
    with endpoint(answer) as url:
        first = judgements({1: RESPONSES, 2: RESPONSES[:2]}, judge(url), tmp_path)
        assert len(seen) == len(set(seen)) == 3
        assert judgements({1: RESPONSES, 2: RESPONSES[:2]}, judge(url, timeout_s=5, batch_size=2), tmp_path) == first
        assert len(seen) == 3
        judgements({3: more}, judge(url), tmp_path)
        assert [text.endswith("Sure, shut it.") for text in seen[3:]] == [True]
        judgements({1: RESPONSES}, replace(judge(url), path="other-model"), tmp_path)
        assert len(seen) == len(set(seen)) == 7
        assert judgements({1: RESPONSES, 2: RESPONSES[:2]}, judge(url), tmp_path) == first
    assert len(seen) == 7


def test_a_report_is_written_without_what_got_no_label_and_that_is_asked_again(tmp_path: Path) -> None:
    seen: list[str] = []
    told: list[str] = []

    def answer(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        seen.append(body["messages"][-1]["content"])
        reads(handler, body) if len(seen) != 3 else send(handler, b"oops", 500)

    with endpoint(answer) as url:
        agreements = judgements({1: RESPONSES[:2], 2: RESPONSES}, judge(url), tmp_path, told.append)
        assert (agreements[1].n, agreements[1].n_failed, agreements[2].n, agreements[2].n_failed) == (2, 0, 2, 1)
        assert "found HTTP 500" in agreements[2].failure
        assert told == [
            f"warning: the judge gave no label of 1 of 3 responses ({agreements[2].failure}); they are left out, and"
            " asked again at the next run"
        ]
        agreements = judgements({1: RESPONSES[:2], 2: RESPONSES}, judge(url), tmp_path, told.append)
    assert (agreements[2].kappa, agreements[2].n, agreements[2].n_failed) == (1.0, 3, 0)
    assert seen[2] == seen[3]
    assert (len(seen), len(told)) == (4, 1)


def test_each_label_is_kept_as_it_comes(tmp_path: Path) -> None:
    stored: list[int] = []

    def answer(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        stored.append(sum(len(json.loads(path.read_text())["rows"]) for path in tmp_path.iterdir()))
        reads(handler, body)

    with endpoint(answer) as url:
        judgements({1: RESPONSES}, judge(url), tmp_path)
    assert stored == [0, 1, 2]


def test_a_judge_that_is_gone_is_asked_no_more_and_what_it_said_stays(tmp_path: Path) -> None:
    many = [Response(Prompt(f"open jar {i}", "harmless"), "Sure.", "comply") for i in range(8)]
    n_asked = 0

    def answer(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        nonlocal n_asked
        n_asked += 1
        reads(handler, body) if n_asked < 3 else send(handler, b"oops", 503)

    with endpoint(answer) as url:
        agreements = judgements({1: many}, judge(url), tmp_path)
    assert (n_asked, agreements[1].n, agreements[1].n_failed) == (5, 2, 6)
    assert agreement_text(agreements[1]).endswith("no label of 6 responses (" + agreements[1].failure + ")")
    with endpoint(reads) as url:
        pass
    nobody = judgements({1: many}, judge(url), tmp_path / "other")
    assert (nobody[1].n, nobody[1].n_failed, nobody[1].kappa) == (0, 8, None)
    assert agreement_text(nobody[1]).startswith("no label of 8 responses (cannot reach the judge")


def test_a_judge_that_thinks_or_writes_a_sentence_is_understood(tmp_path: Path) -> None:
    texts = iter(["<think>It may comply.</think>\nrefuse", "The reply complies.", '{"label": "comply"}'])
    with endpoint(lambda h, _: send(h, saying(next(texts)))) as url:
        agreements = judgements({1: RESPONSES}, judge(url), tmp_path)
    assert (agreements[1].kappa, agreements[1].n, agreements[1].n_failed) == (1.0, 3, 0)


def test_damaged_answers_are_asked_again(tmp_path: Path) -> None:
    with endpoint(reads) as url:
        first = judgements({1: RESPONSES}, judge(url), tmp_path)
        (path,) = tmp_path.iterdir()
        path.write_text(path.read_text()[:-3])
        with pytest.warns(UserWarning, match=f"{path.name} is damaged"):
            assert judgements({1: RESPONSES}, judge(url), tmp_path) == first


def late(handler: BaseHTTPRequestHandler, _: dict[str, Any]) -> None:
    time.sleep(0.6)
    with suppress(ConnectionError):
        send(handler, saying("comply"))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda h, _: send(h, b"oops", 500), r"expected an answer from the judge at \S+, found HTTP 500"),
        (lambda h, _: send(h, b"no", 404), r"found HTTP 404"),
        (lambda h, _: send(h, b"<html>"), r"expected JSON from the judge at \S+, found something else"),
        (lambda h, _: send(h, b"\xff\xfe"), r"expected JSON from the judge"),
        (lambda h, _: send(h, b"[" * 100_000), r"expected JSON from the judge"),
        (lambda h, _: send(h, b"{}"), r"expected choices\[0\].message.content"),
        (lambda h, _: send(h, b'{"choices": []}'), r"expected choices\[0\].message.content"),
        (lambda h, _: send(h, b"[1]"), r"expected choices\[0\].message.content"),
        (lambda h, _: send(h, saying(None)), r"expected text from the judge at \S+, found NoneType"),
        (lambda h, _: send(h, saying("")), r"expected refuse or comply from the judge for response 0, found ''"),
        (lambda h, _: send(h, saying("maybe")), r"expected refuse or comply .* found 'maybe'"),
        (lambda h, _: send(h, saying("refuse or comply")), r"expected refuse or comply from the judge"),
        (lambda h, _: send(h, saying("x" * 500)), r"found 'x{60}…'"),
        (late, r"expected an answer from the judge at \S+ within 0.2 s, found none: raise judge.timeout_s"),
        (lambda h, _: h.connection.close(), r"judge at"),
    ],
)
def test_whatever_goes_wrong_is_one_line_and_never_a_label(answer: Answer, message: str) -> None:
    with endpoint(answer) as url:
        (outcome,) = judge_responses(RESPONSES[:1], judge(url, timeout_s=0.2))
    assert isinstance(outcome, NoLabel)
    assert re.search(message, outcome)
    assert "\n" not in outcome


def test_nobody_there_is_one_line() -> None:
    with endpoint(reads) as url:
        pass
    (outcome,) = judge_responses(RESPONSES[:1], judge(url))
    assert re.match(r"cannot reach the judge at http://127.0.0.1:\d+/v1", str(outcome))


@pytest.mark.parametrize("url", ["", "file:///etc/hosts", "localhost:8000", "http://[::1"])
def test_only_a_web_address_is_asked(url: str) -> None:
    with pytest.raises(UserError, match=r"expected judge.url to be http"):
        list(judge_responses(RESPONSES, judge(url)))


def test_no_judge_judges_nothing(tmp_path: Path) -> None:
    assert judgements({1: RESPONSES}, JudgeConfig(), tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random sequence classifier, saved as one from a hub would be."""
    folder = tmp_path_factory.mktemp("classifier")
    words = sorted(
        {word for response in RESPONSES for text in (response.prompt.text, response.text) for word in text.split()}
    )
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=32
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=32, id2label={0: "comply", 1: "refuse"}, label2id={"comply": 0, "refuse": 1},
        initializer_range=1.0,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("reads", ["response", "pair"])
def test_a_classifier_labels_as_the_model_alone_does(classifier: Path, reads: Any) -> None:
    config = JudgeConfig("hf_classifier", path=str(classifier), device="cpu", batch_size=2, reads=reads)
    model = BertForSequenceClassification.from_pretrained(classifier).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(classifier)
    expected = []
    for response in RESPONSES:
        texts = [response.prompt.text, response.text] if reads == "pair" else [response.text]
        logits = model(**tokenizer(*texts, return_tensors="pt")).logits
        expected.append(bool(logits.argmax() == 1))
    assert list(judge_responses(RESPONSES, config)) == expected


def test_a_classifier_of_other_files_is_another_judge(classifier: Path, tmp_path: Path) -> None:
    again = tmp_path / "classifier"
    shutil.copytree(classifier, again)
    config = JudgeConfig("hf_classifier", path=str(again), device="cpu")
    before = judge_digest(config)
    assert judge_digest(replace(config, batch_size=1, device="auto")) == before
    assert judge_digest(replace(config, reads="pair")) != before
    weights = again / "model.safetensors"
    os.utime(weights, ns=(0, weights.stat().st_mtime_ns + 1))
    assert judge_digest(config) != before


def test_a_label_that_the_classifier_lacks_is_one_line(classifier: Path) -> None:
    config = JudgeConfig("hf_classifier", path=str(classifier), device="cpu", refuses="no")
    with pytest.raises(UserError, match=r"expected judge.refuses to be one of comply, refuse, found no"):
        list(judge_responses(RESPONSES, config))


def test_a_classifier_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a sequence classifier at"):
        list(judge_responses(RESPONSES, JudgeConfig("hf_classifier", path=str(tmp_path), device="cpu")))


@pytest.mark.parametrize("kind", ["hf_classifier", "openai_compatible"])
def test_a_judge_needs_a_model(kind: Any) -> None:
    with pytest.raises(ValueError, match=r"judge.path"):
        JudgeConfig(kind)
