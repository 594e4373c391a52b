"""What transformers says when it cannot load a model, as one line that says what to do."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError

from saber.vocabulary import Quantise

SHOWN_LINES = 3  # of an error of transformers': the first often says only that there are more


def not_loaded(path: str, error: Exception, quantise: Quantise = "none") -> str:
    """One line on what could not be loaded, and what to do."""
    said = "; ".join([line.strip() for line in str(error).splitlines() if line.strip()][:SHOWN_LINES])
    said = said or type(error).__name__
    if "trust_remote_code" in said:
        return (
            f"expected a model that transformers knows at {path}, found one that comes with Python code of its own;"
            " model.trust_remote_code=true runs that code with your rights: read it first"
        )
    if isinstance(error, ImportError) and quantise != "none" and "bitsandbytes" in said:
        return f"model.quantise={quantise} needs bitsandbytes, found none: pip install bitsandbytes"
    if isinstance(error, ImportError):
        return f"expected the packages that {path} needs, found: {said}"
    if isinstance(error, SafetensorError):
        return f"expected whole safetensors files in {path}, found one that is cut or damaged ({said}): get it again"
    if Path(path).is_dir() and "tokenizer" in said and not any(Path(path).glob("tokenizer*")):
        return f"expected a tokenizer beside the weights in {path}, found none: copy the tokenizer's files there"
    if Path(path).exists():
        return f"expected a model in {path}, found: {said}"
    return (
        f"could not reach model {path!r}: it is no local folder and the hub did not give it ({said[:160]});"
        " set model.path to a folder that you have downloaded, or model=organism for the embedded one"
    )
