"""Save a text-only Gemma 4 as the multimodal checkpoint that the real one is."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer


def save_in_wrapper(text_folder: Path, out: Path) -> None:
    """Write ``Gemma4ForConditionalGeneration`` around the text model's weights, with a small vision tower."""
    text = AutoModelForCausalLM.from_pretrained(text_folder)
    vision = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "head_dim": 8,
    }
    config = AutoConfig.for_model(
        "gemma4",
        text_config=text.config.to_dict(),
        vision_config={**vision, "num_key_value_heads": 2},
        audio_config=None,
    )
    model = AutoModelForCausalLM.from_config(config)
    assert type(model).__name__ == "Gemma4ForConditionalGeneration"
    weights = {f"model.language_model.{k.removeprefix('model.')}": v for k, v in text.state_dict().items()}
    weights["lm_head.weight"] = weights.pop("model.language_model.lm_head.weight")
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected, unexpected
    assert all("vision" in name for name in missing), missing
    model.generation_config = text.generation_config
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(text_folder).save_pretrained(out)
