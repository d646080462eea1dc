#!/bin/sh
# Run what needs an NVIDIA GPU, in at most 15 minutes, from the root of the checkout:
#
#     sh benchmarks/on_gpu.sh [PYTHON] [FOLDER] [ARGUMENT...]
#
# FOLDER (build/gpu) gets one file for each step: the packed engines' tests on the GPU; the packed engine beside
# transformers on each decoder and encoder; merging an adapter, whole and in parts; the engine's steps, FP8 weights,
# memory and adapters at 3B; and how bfloat16 and FP8 change the order of float32. The last takes the arguments, such as
# `--model dear-3b-ranknet-lora --pairs LISTS.jsonl.gz --qrels QRELS`; by default the weights and texts are
# random. A step that takes too long or fails does not keep the others from running; the exit status is then 1.
python=${1:-.venv/bin/python}
folder=${2:-build/gpu}
if [ $# -gt 2 ]; then shift 2; else set -- --shape 3b; fi
mkdir -p "$folder"
status=0

step() { # step NAME SECONDS COMMAND...
    name=$1 seconds=$2
    shift 2
    echo "$name: at most $seconds s"
    timeout "$seconds" "$@" >"$folder/$name.txt" 2>&1 || { status=1; echo "$name: failed, see $folder/$name.txt"; }
}

step tests 200 "$python" -m pytest -q -p no:cacheprovider tests/scoring/engines
step architectures 300 "$python" -m benchmarks.packed_architectures --device cuda
step merge 30 "$python" -m benchmarks.merge_adapter --device cuda
step steps 240 "$python" -m benchmarks.packed_steps
step agreement 130 "$python" -m sidecar bench --agreement --device cuda --quantization fp8 \
    --json "$folder/agreement.json" "$@"
exit $status
