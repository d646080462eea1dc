"""A killed run keeps what was finished, and refuses to go on with anything else."""

from __future__ import annotations

import fcntl
import resource
import subprocess
import sys

import pytest

from sidecar.core.errors import ConfigurationError, InputError
from sidecar.experiments.journal import Journal

IDENTITY = {"model": "minilm", "window": "100"}


def journal(folder, *, resume=False, **changed):
    return Journal(folder / "run.trec", IDENTITY | changed, resume=resume)


def test_what_was_added_is_there_after_a_kill(tmp_path):
    first = journal(tmp_path)
    first.add("q1", b'{"n":0.10}')
    first.add("q2", b'{"text":"line\\nbreak"}')
    first._file.close()  # the kernel does it for a killed process, and nothing else is done
    with journal(tmp_path, resume=True) as second:
        assert second.done == {"q1", "q2"}
        second.add("q3", b"{}")
        assert list(second.lines()) == [b'{"n":0.10}', b'{"text":"line\\nbreak"}', b"{}"]
        second.remove()
    assert list(tmp_path.iterdir()) == []


def test_another_process_is_kept_out_until_the_first_one_ends(tmp_path):
    # Two that append to one journal would write each query twice, and a run with rising scores.
    code = (
        "import sys; from pathlib import Path; from sidecar.experiments.journal import Journal\n"
        f"found = Journal(Path('run.trec'), {IDENTITY!r}, resume=False); found.add('q1', b'[1]')\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "ready\n"
        before = (tmp_path / ".run.trec.journal").read_bytes()
        for resume in (False, True):
            with pytest.raises(ConfigurationError, match=r"another process is writing .*run.trec"):
                journal(tmp_path, resume=resume)
        assert (tmp_path / ".run.trec.journal").read_bytes() == before
        other.kill()
    with journal(tmp_path, resume=True) as second:
        assert second.done == {"q1"}


def test_a_journal_that_was_removed_meanwhile_is_not_written(tmp_path, monkeypatch):
    # Between opening and locking, the process that had the journal finishes its run and removes it.
    def removed(*_):
        (tmp_path / ".run.trec.journal").unlink()

    monkeypatch.setattr(fcntl, "flock", removed)
    with pytest.raises(ConfigurationError, match=r"another process is writing .*run.trec"):
        journal(tmp_path)


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_line_cut_off_is_dropped(tmp_path, cut):
    with journal(tmp_path) as first:
        first.add("q1", b"{}")
        first.add("q2", b'{"a":[1,2,3,4,5,6,7,8,9]}')
    path = tmp_path / ".run.trec.journal"
    path.write_bytes(path.read_bytes()[:-cut])
    with journal(tmp_path, resume=True) as second:
        assert second.done == {"q1"}
        second.add("q2", b"[2]")
        assert list(second.lines()) == [b"{}", b"[2]"]


def test_a_header_cut_off_begins_anew(tmp_path):
    (tmp_path / ".run.trec.journal").write_bytes(b'{"run":{"mod')
    with journal(tmp_path) as again:
        again.add("q1", b"{}")
    with journal(tmp_path, resume=True) as second:
        assert second.done == {"q1"}


def test_an_unfinished_run_is_not_thrown_away_by_accident(tmp_path):
    with journal(tmp_path) as first:
        first.add("q1", b"{}")
    with pytest.raises(ConfigurationError, match=r"unfinished run with 1 queries .*\n.*--resume"):
        journal(tmp_path)


def test_a_run_that_differs_is_discarded_if_that_is_asked_for(tmp_path):
    with journal(tmp_path) as first:
        first.add("q1", b"{}")
    with Journal(tmp_path / "run.trec", IDENTITY | {"window": "50"}, resume=True, replace=True) as second:
        assert (second.discarded, second.done) == (["window"], set())
        second.add("q2", b"[]")
    with Journal(tmp_path / "run.trec", IDENTITY | {"window": "50"}, resume=True, replace=True) as third:
        assert (third.discarded, third.done) == ([], {"q2"})


def test_a_fact_that_is_known_later_is_compared_like_the_identity(tmp_path):
    with journal(tmp_path) as first:
        first.confirm("model_files", "abc")
        first.add("q1", b"{}")
    with journal(tmp_path, resume=True) as second:
        second.confirm("model_files", "abc")
        assert second.done == {"q1"}
        second.add("q2", b"[]")
        assert list(second.lines()) == [b"{}", b"[]"]
        with pytest.raises(ConfigurationError, match="differs in model_files"):
            second.confirm("model_files", "other")
    with Journal(tmp_path / "run.trec", IDENTITY, resume=True, replace=True) as third:
        third.confirm("model_files", "other")
        assert (third.discarded, third.done) == (["model_files"], set())
        third.add("q3", b"[3]")
    with journal(tmp_path, resume=True) as fourth:
        fourth.confirm("model_files", "other")
        assert list(fourth.lines()) == [b"[3]"]


def test_a_run_is_not_mixed_with_another(tmp_path):
    with journal(tmp_path) as first:
        first.add("q1", b"{}")
    with pytest.raises(ConfigurationError, match="differs in model, window"):
        journal(tmp_path, resume=True, model="dear-3b", window="50")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="can't write"):
        journal(tmp_path / "nowhere")


def test_a_full_disk_is_named_and_costs_nothing(tmp_path):
    with journal(tmp_path) as first:
        first.add("q1", b'"short"')
        size = first.path.stat().st_size
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        # The kernel takes ten more bytes of the file, then none: half a line is written, as on a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, limits[1]))
        try:
            with pytest.raises(InputError, match=r"can't write .*\.journal: .*\n.*--resume"):
                first.add("q2", b'"this line has more than ten bytes"')
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert first.path.stat().st_size == size
        assert first.done == {"q1"}
    with journal(tmp_path, resume=True) as second:
        second.add("q2", b"[2]")
        assert list(second.lines()) == [b'"short"', b"[2]"]
