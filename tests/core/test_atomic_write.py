"""Files appear whole or not at all."""

from __future__ import annotations

import gzip
import os
import resource
import subprocess
import sys

import pytest

from sidecar.core.atomic_write import atomic_write
from sidecar.core.errors import InputError
from sidecar.core.text_lines import numbered_lines


@pytest.mark.parametrize("name", ["out.txt", "out.txt.gz"])
def test_a_block_that_ends_well_leaves_the_file(tmp_path, name):
    with atomic_write(tmp_path / name) as stream:
        stream.write("ein Größenwahn\n")
        assert not (tmp_path / name).exists()
    assert list(numbered_lines(tmp_path / name)) == [(f"{tmp_path / name}:1", "ein Größenwahn".encode())]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_block_that_fails_leaves_what_was_there(tmp_path):
    target = tmp_path / "out.txt"
    target.write_text("before")
    with pytest.raises(ZeroDivisionError), atomic_write(target) as stream:
        stream.write(f"half {1 / 0}")
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


def test_a_device_or_a_pipe_is_never_replaced_by_a_file(tmp_path):
    pipe, link = tmp_path / "pipe", tmp_path / "null"
    os.mkfifo(pipe)
    link.symlink_to("/dev/null")
    for path in (pipe, link):
        with pytest.raises(InputError, match=rf"can't write {path}: .*a device, a pipe"), atomic_write(path):
            pass
    assert pipe.is_fifo()
    assert link.is_char_device()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["null", "pipe"]


def test_the_file_that_stdout_goes_to_is_not_replaced(tmp_path):
    # Whatever is printed afterwards would be lost with the file that is replaced.
    code = (
        "from pathlib import Path; from sidecar.core.atomic_write import check_replaceable; "
        "check_replaceable(Path('other')); check_replaceable(Path('/dev/stdout'))"
    )
    with (tmp_path / "table").open("w") as table:
        ended = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, stdout=table, stderr=subprocess.PIPE, text=True, check=False
        )
    assert "InputError: can't write /dev/stdout: a complete file replaces its output" in ended.stderr


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with (
        pytest.raises(InputError, match="can't write .*nowhere/out.txt"),
        atomic_write(tmp_path / "nowhere" / "out.txt"),
    ):
        pass


def test_lines_keep_their_numbers_and_blank_ones_are_left_out(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b"a\r\n\n  \nb")
    assert list(numbered_lines(path)) == [(f"{path}:1", b"a"), (f"{path}:4", b"b")]


def test_a_damaged_gzip_is_named(tmp_path):
    path = tmp_path / "corpus.jsonl.gz"
    path.write_bytes(gzip.compress(b"line\n" * 1000)[:-12])
    with pytest.raises(InputError, match=r"corpus.jsonl.gz is damaged"):
        list(numbered_lines(path))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="can't read .*missing"):
        list(numbered_lines(tmp_path / "missing"))


@pytest.mark.parametrize("name", ["out.txt", "out.txt.gz"])
def test_a_full_disk_is_named_and_leaves_what_was_there(tmp_path, name):
    (tmp_path / name).write_text("before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, limits[1]))  # as on a full disk, the kernel takes no more
    try:
        with (
            pytest.raises(InputError, match=rf"can't write .*{name}: .*\n.*disk full"),
            atomic_write(tmp_path / name) as file,
        ):
            file.write("more than eight bytes, however well they are compressed: 0123456789")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / name).read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == [name]
