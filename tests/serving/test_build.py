"""Settings that contradict each other are told before anything is loaded."""

from __future__ import annotations

import pytest

from sidecar.core.errors import ConfigurationError
from sidecar.serving.build import limits
from sidecar.serving.http.held_bytes import HeldBytes
from sidecar.serving.starting import client_keys_of
from sidecar.settings import Settings


def test_a_request_may_not_be_larger_than_the_queue():
    held = HeldBytes(1)
    assert limits(Settings(max_documents=50, max_queue=50), held).documents == 50
    with pytest.raises(ConfigurationError, match="max_documents is 51, but only 50 passages may wait"):
        limits(Settings(max_documents=51, max_queue=50), held)


@pytest.mark.parametrize(
    ("keys", "why"),
    [({"a": " "}, "the key of a is empty"), ({"a": "x", "b": "x"}, "another's"), ({"a": "own"}, "another's")],
)
def test_each_client_has_a_key_of_its_own(keys, why):
    assert client_keys_of(Settings(api_key="own", client_keys={"a": "x", "b": "y"})) == {"a": "x", "b": "y"}
    with pytest.raises(ConfigurationError, match=why):
        client_keys_of(Settings(api_key="own", client_keys=keys))
