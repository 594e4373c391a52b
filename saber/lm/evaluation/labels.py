"""What a protocol's labeller calls a response: a list of markers, or the rules that people's labels weighed."""

from __future__ import annotations

from saber.config import EvaluateConfig
from saber.lm.evaluation.protocol import further_markers, marker_words
from saber.scoring.labelling import label_reply
from saber.scoring.refusals import Label, find_marker, label_response


def label_text(text: str, prompt: str, profile: EvaluateConfig, *, finished: bool) -> tuple[Label, str | None]:
    """The label and what fired: by markers only where a response refuses, by rules always.

    Under rules, a response refuses as well where a marker of another language, or of the user's own, occurs.

    Raises:
        UserError: a list of markers is unknown, cannot be read, or is no list of markers.
    """
    if profile.labeller == "markers":
        return label_response(text, finished=finished, markers=marker_words(profile), empty_is=profile.empty_is)
    if marker := find_marker(text, further_markers(profile)):
        return "refuse", marker
    return label_reply(text, prompt, finished=finished, empty_is=profile.empty_is)
