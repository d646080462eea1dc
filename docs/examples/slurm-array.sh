#!/usr/bin/env bash
# A Slurm array: 64 shards of one run, at most 8 at a time, one GPU each. Submit it, then the merge:
#   job=$(sbatch --parsable slurm-array.sh)
#   sbatch --dependency=afterok:"$job" --wrap 'sidecar merge run.trec.shard-*-of-64 --output run.trec'
#SBATCH --job-name=rerank
#SBATCH --array=1-64%8
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=02:00:00
#SBATCH --requeue
set -euo pipefail

# --resume: a task that Slurm starts again goes on where it was, and a finished one ends at once.
exec sidecar run --topics topics.tsv --index indexes/docs --hits 1000 --window 1000 \
    --output run.trec --output-format trec \
    --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --resume
