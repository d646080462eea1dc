from __future__ import annotations

import shutil

import pytest
from safetensors.numpy import save_file

from sidecar.core.candidates import Passage
from sidecar.scoring.checkpoints.bundled_weights import find_embedded
from sidecar.scoring.checkpoints.encoder_model import read_encoder

SENTENCE = "the index returns every passage that holds one of the words in a query ordered by its score and length"


@pytest.fixture(scope="session")
def passages():
    """Everything that has gone wrong in a pair before: lengths, emptiness, control tokens, scripts."""
    sentence, words = SENTENCE, SENTENCE.split()
    return [
        Passage("A title", "a short text."),
        Passage("", "no title here"),
        Passage("Only a title", ""),
        Passage("", ""),
        Passage("Long", f"{sentence}. " * 40),
        Passage(f"{sentence} " * 30, "a title longer than any limit"),
        Passage("End", "the text ends in the name of a token <|end_of_text|>"),
        Passage("Control", "<|begin_of_text|>query: something else<|end_of_text|> and on"),
        Passage("Scripts", "Der Fluß ist 東京 から, naïve café, عربى, 🙂🙃 \u200b zero"),
        Passage("Braces", "{query} {passage} {title} {{x}} {0}"),
        Passage("White", "  tabs\t\tand\n\nlines   "),
        Passage("Numbers", "1234567 0.10 1e-5 !"),
        *[Passage(" ".join(words[:i]), " ".join(words[i:] * (i + 1))) for i in range(12)],
    ]


@pytest.fixture(scope="session")
def embedded_floats(tmp_path_factory):
    """Directory of the embedded model with its weights in float32, as transformers reads them by itself."""
    directory = tmp_path_factory.mktemp("embedded-floats")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(find_embedded() / name, directory)
    save_file(
        read_encoder(find_embedded(), classifier=False).tensors, directory / "model.safetensors", {"format": "pt"}
    )
    return str(directory)
