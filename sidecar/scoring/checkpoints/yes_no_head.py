"""A causal model that answers yes or no, as a classifier: its score head is one or the difference of two lm_head rows.

Source: the model card of Qwen/Qwen3-Reranker-0.6B, which takes log_softmax over the logits of "no" and "yes" at the
last position and returns the probability of "yes": the sigmoid of logit(yes) - logit(no), which is linear in the last
hidden state. So the other 150,000 rows of the lm_head are never computed. The model card of zeroentropy/zerank-2 takes
the logit of "Yes" alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from sidecar.core.errors import ModelError
from sidecar.scoring.checkpoints.architecture import parse_model_config
from sidecar.scoring.checkpoints.manifest import Manifest
from sidecar.scoring.checkpoints.safetensors_io import open_tensors, stored_formats, weight_files

HEAD, BIAS, TIED = "lm_head.weight", "lm_head.bias", "model.embed_tokens.weight"


def answer_head(directory: Path, tokenizer: Any, manifest: Manifest) -> torch.Tensor | None:
    """Return the weights of logit(yes) - logit(no), float32 of 1 x hidden size; None for a manifest without answers.

    Without `no_token` they are those of logit(yes).

    Raises ModelError if an answer is not a single token, if the checkpoint has no lm_head, if it caps its
    logits, or if it adds a bias to them.
    """
    if manifest.yes_token is None:
        return None
    if (softcap := _softcap(directory)) is not None:
        raise ModelError(
            f"{directory} caps its logits at {softcap:g}, so a difference of two is not linear in its last state.",
            remedy="Use a model without final_logit_softcapping, or a classifier with a score head of its own.",
        )
    answers = [token for token in (manifest.yes_token, manifest.no_token) if token is not None]
    ids = [_token_id(tokenizer, token) for token in answers]
    stored = stored_formats(directory).keys()
    if BIAS in stored:
        raise ModelError(
            f"{directory} adds {BIAS} to its logits, which a score head without a bias can't.",
            remedy="Use a model without a bias in its lm_head, or a classifier with a score head of its own.",
        )
    tied = parse_model_config(directory).tie_word_embeddings and TIED in stored
    if HEAD not in stored and not tied:
        raise ModelError(
            f"{directory} has no {HEAD}, so it can't answer {' or '.join(map(repr, answers))}.",
            remedy="Leave yes_token and no_token out of sidecar.json for a model with a score head of its own.",
        )
    rows = _rows(directory, HEAD if HEAD in stored else TIED, *ids)
    return rows if len(answers) == 1 else rows[0:1] - rows[1:2]


def _softcap(directory: Path) -> float | None:
    return getattr(parse_model_config(directory).get_text_config(), "final_logit_softcapping", None)


def _token_id(tokenizer: Any, token: str) -> int:
    token_id = tokenizer.convert_tokens_to_ids(token)
    if token_id is None or token_id == tokenizer.unk_token_id:
        raise ModelError(
            f"The tokenizer has no token {token!r} to answer with.", remedy="Correct yes_token and no_token."
        )
    return int(token_id)


def _rows(directory: Path, key: str, *ids: int) -> torch.Tensor:
    """Return some rows of a stored matrix, in float32."""
    for path in weight_files(directory):
        with open_tensors(path) as file:
            if key in file.keys():  # noqa: SIM118  not a dictionary
                weights = file.get_slice(key)
                return torch.cat([weights[i : i + 1] for i in ids]).float()
    raise KeyError(key)
