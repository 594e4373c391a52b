"""A card and a report say how the model was spoken to, and what it thought before it answered."""

from __future__ import annotations

from dataclasses import replace

from huggingface_hub import ModelCardData

from saber.publish.analysis.chat_words import chat_text, thoughts_text
from saber.publish.card.model_card import render_card
from saber.publish.report.front_report import render_report
from saber.types import Estimate, Frontier, Metrics, Prompt, Response


def spoken_to(frontier: Frontier, chat: dict[str, object]) -> Frontier:
    return replace(frontier, settings={**frontier.settings, "chat": chat, "evaluate": {"max_thinking_tokens": 24}})


def thinking(metrics: Metrics, unfinished: float) -> Metrics:
    rates = {
        "thought_rate": Estimate(1.0, 50, 0.93, 1.0),
        "unfinished_thought_rate": Estimate(unfinished, 50, 0.0, 0.1),
    }
    return replace(metrics, estimates={**metrics.estimates, **rates})


def test_a_template_as_it_is_needs_no_words(frontier: Frontier) -> None:
    assert chat_text(frontier) == chat_text(spoken_to(frontier, {})) == thoughts_text(frontier) == ""
    assert "What was measured is" not in card(frontier)


def test_what_was_done_about_thinking_stands_on_the_card(frontier: Frontier) -> None:
    off = {"template": {"enable_thinking": False}, "thinking": {"format": "think", "mode": "off"}}
    assert "thinking turned off" in card(spoken_to(frontier, off))
    assert "enable\\_thinking=False" in card(spoken_to(frontier, off)).replace("enable_thinking", "enable\\_thinking")
    on = spoken_to(frontier, {"thinking": {"format": "think", "mode": "on"}})
    assert "thinking of up to 24 tokens, labels by the answer" in card(on)
    plain = spoken_to(frontier, {"prompt_form": "Q: {prompt}", "prefill": "Sure"})
    assert (
        chat_text(plain) == "the plain form 'Q: {prompt}' in place of a chat template and every reply begun with 'Sure'"
    )


def test_the_report_shows_thoughts_and_answers_and_counts_what_stays_open(frontier: Frontier) -> None:
    on = spoken_to(frontier, {"thinking": {"format": "think", "mode": "on"}})
    points = tuple(replace(point, tune=thinking(point.tune, 0.5 if point.on_front else 0.0)) for point in on.points)
    said = Response(Prompt("Name <a> color.", "harmless"), "Red.", "comply", thought="They ask.", thought_ended=True)
    aloud = replace(on, base_tune=thinking(on.base_tune, 0.02), points=points, thinking_aloud=(said,))
    assert "50/50 = 100.0% [93.0, 100.0] think first" in thoughts_text(aloud)
    assert f"More thoughts stay open at {len(aloud.front)} front points" in thoughts_text(aloud)
    page = render_report(aloud, ["x"], [])
    for text in ("What the base thinks", '<td class="free">They ask.</td><td class="free">Red.</td>', "&lt;a&gt;"):
        assert text in page
    assert "What the base thinks" not in render_report(frontier, ["x"], [])


def card(frontier: Frontier) -> str:
    point = frontier.front[0]
    exported = replace(point.tune, split="report")
    about = ModelCardData(base_model=frontier.base_model)
    return render_card(frontier, point, None, exported, [], {"torch": "2"}, {"digest": point.plan_digest}, about)
