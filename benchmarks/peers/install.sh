#!/bin/sh
# Install the peers into environments of their own, never into ours:  sh benchmarks/peers/install.sh [FOLDER]
# On a machine without a GPU, PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu keeps torch small.
set -eu
FOLDER=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/saber-peers}
HERETIC="$FOLDER/heretic"

mkdir -p "$FOLDER"
[ -x "$HERETIC/bin/python" ] || "${PYTHON:-python3}" -m venv "$HERETIC"
PIP="$HERETIC/bin/pip install -q -c $FOLDER/constraints.txt"
printf '%s\n' torch==2.13.0 transformers==5.23.0 optuna==4.9.0 peft==0.21.2 accelerate==1.15.0 lm-eval==0.4.13 \
    bitsandbytes==0.50.2 heretic-llm==1.4.0 > "$FOLDER/constraints.txt"

$PIP torch
$PIP 'accelerate~=1.13' 'datasets~=4.7' 'huggingface-hub~=1.7' 'immutabledict~=4.3' 'langdetect~=1.0' 'numpy~=2.2' \
    'optuna~=4.7' 'peft~=0.19' 'psutil~=7.2' 'py-cpuinfo~=9.0' 'pydantic-settings~=2.13' 'questionary~=2.1' 'rich~=14.3' \
    'tomli-w~=1.2' 'tqdm~=4.67' 'transformers~=5.6' 'lm-eval~=0.4'
# Without what it declares, listed above: pip walks back through every lm-eval for its extra "hf" and does not end.
$PIP --no-deps heretic-llm bitsandbytes
"$HERETIC/bin/python" -c "import importlib.metadata as m
for p in ('heretic-llm', 'torch', 'transformers', 'peft', 'optuna'): print(p, m.version(p))"
