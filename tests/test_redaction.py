"""What has the length and the place of a token is masked; a name that only begins alike is shown."""

from __future__ import annotations

import pytest

from saber.redaction import MASK, masked

TOKEN = "hf_" + "aB3" * 11 + "x"  # as long as one of the hub's


@pytest.mark.parametrize(
    "text",
    [
        "model.path=m/hf_organism0",
        "study.name=hf_classifier_run",
        "unknown judge=bogus; there are hf_classifier, none, openai_compatible",
        "sk-learn-pipeline-of-tuesday",
        "outputs/disk-image-of-a-very-long-name-that-is-no-key",
        f"{TOKEN}_and_more",
    ],
)
def test_names_are_shown(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "hf_org")
    assert masked(text) == text


@pytest.mark.parametrize("token", [TOKEN, "sk-" + "a1B2" * 12, "sk-proj-" + "a1_-" * 12])
@pytest.mark.parametrize("place", ["{}", "token {} of mine", "https://x/{}/y", "HF_TOKEN={}", "'{}'"])
def test_tokens_are_masked_wherever_they_stand(token: str, place: str) -> None:
    assert masked(place.format(token)) == place.format(MASK)


def test_a_secret_of_the_environment_is_masked_and_a_word_that_holds_a_short_one_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGPASSWORD", "secret")
    assert masked("secretary secret: postgres://u:pw@h/secret") == f"secretary {MASK}: postgres://u:{MASK}@h/{MASK}"
    monkeypatch.setenv("HF_TOKEN", "long-token-of-the-tests")
    assert masked("xlong-token-of-the-testsx") == f"x{MASK}x"
