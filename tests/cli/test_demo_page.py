"""Refusals of `sidecar demo --web` before it indexes anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.cli.demo_page import check_page, has_desktop
from sidecar.core.errors import ConfigurationError
from sidecar.settings import Settings


@pytest.mark.parametrize(
    ("options", "lucene", "words"),
    [
        ({}, False, "pyserini is not installed"),
        ({"api_port": 0}, True, "on a known port"),
        ({"tls_cert": Path("cert.pem")}, True, "plain HTTP"),
    ],
)
def test_what_is_refused(options, lucene, words):
    with pytest.raises(ConfigurationError, match=words):
        check_page(Settings(**options), lucene=lucene)


def test_no_browser_is_opened_in_a_terminal(monkeypatch):
    check_page(Settings(), lucene=True)
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not has_desktop()
    monkeypatch.setenv("DISPLAY", ":0")
    assert has_desktop()
