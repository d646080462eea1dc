"""`sidecar demo`, as `make demo` runs it, with one question."""

from __future__ import annotations

import pytest

from sidecar.cli.main import main

pytestmark = [pytest.mark.soak, pytest.mark.live, pytest.mark.usefixtures("jvm")]


def test_the_demo_answers_a_question_out_of_pythons_documentation(capsys):
    with pytest.raises(SystemExit) as end:
        main(["demo", "start a function some seconds later", "--device", "cpu"])
    out = capsys.readouterr().out
    assert end.value.code == 0
    assert "threading.Timer: BM25's rank" in out
    assert "scoring 100 passages" in out
