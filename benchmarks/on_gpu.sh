#!/bin/sh
# Run what needs an NVIDIA GPU, in at most 15 minutes, from the root of the checkout:
#
#     sh benchmarks/on_gpu.sh [PYTHON] [FOLDER]
#
# FOLDER (build/gpu) gets one file for each step: the packed engines' tests on the GPU; the packed engine beside
# transformers on each decoder and encoder; merging an adapter, whole and in parts; and the engine's steps, memory and
# adapters at 3B. A step that takes too long or fails does not keep the others from running; the exit status is then 1.
python=${1:-.venv/bin/python}
folder=${2:-build/gpu}
mkdir -p "$folder"
status=0

step() { # step NAME SECONDS COMMAND...
    name=$1 seconds=$2
    shift 2
    echo "$name: at most $seconds s"
    timeout "$seconds" "$@" >"$folder/$name.txt" 2>&1 || { status=1; echo "$name: failed, see $folder/$name.txt"; }
}

step tests 220 "$python" -m pytest -q -p no:cacheprovider tests/scoring/engines
step architectures 390 "$python" -m benchmarks.packed_architectures --device cuda
step merge 30 "$python" -m benchmarks.merge_adapter --device cuda
step steps 260 "$python" -m benchmarks.packed_steps
exit $status
