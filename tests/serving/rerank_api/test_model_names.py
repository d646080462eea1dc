"""Names that requests may give the models: declared ones, aliases that lead to one, and nothing else."""

from __future__ import annotations

import pytest

from sidecar.core.errors import ConfigurationError
from sidecar.serving.build import declared_models, model_names
from sidecar.serving.rerank_api.problem import Problem
from sidecar.settings import Settings


def names(**settings):
    chosen = Settings(**settings)
    return model_names(chosen, tuple(declared_models(chosen)))


def test_a_name_leads_to_a_declared_model():
    found = names(model="/models/my-llama/", models={"small": "e5-small"}, model_aliases={"rerank-v3.5": "small"})
    asked = (None, "", "my-llama", "small", "rerank-v3.5")
    assert [found.find(name) for name in asked] == ["my-llama", "my-llama", "my-llama", "small", "small"]
    with pytest.raises(Problem, match="no model 'gpt' here; declared are my-llama, small, rerank-v3.5"):
        found.find("gpt")


@pytest.mark.parametrize(
    ("aliases", "message"),
    [
        ({"a": "b"}, "a stands for b, but no model b is declared"),
        ({"e5-small": "e5-small"}, "is already the name of a model"),
    ],
)
def test_an_alias_that_cant_be_is_said_at_the_start(aliases, message):
    with pytest.raises(ConfigurationError, match=message):
        names(model_aliases=aliases)
