"""The output of commands on terminals of several widths, and in a pipe."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from rich.console import Console

from sidecar.cli.setting_sections import SECTIONS
from sidecar.cli.tables import docids_and_titles, first_stage_and_reranked
from sidecar.core.candidates import Candidate, Passage, Ranked, Ranking
from sidecar.settings import Settings, variable

ROOT = Path(__file__).parents[2]
WIDTHS = (40, 60, 80, 160)
# Colours and cursor movements.
CONTROLS = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]|\r")


@pytest.fixture
def drive(tmp_path):
    """Run a command in a terminal of so many columns; returns its status, the screen's bytes, and a piped stdout."""

    def driven(columns: int, *words: object, stdout: int | None = None) -> tuple[int, bytes, bytes]:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        unset = {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"}
        process = subprocess.Popen(
            [sys.executable, "-m", "sidecar", *map(str, words)],
            stdin=theirs,
            stdout=theirs if stdout is None else stdout,
            stderr=theirs,
            cwd=tmp_path,
            env={
                **{name: value for name, value in os.environ.items() if name not in unset},
                "TERM": "xterm-256color",
                "PYTHONPATH": str(ROOT),
            },
        )
        os.close(theirs)
        screen = bytearray()
        with os.fdopen(ours, "rb", buffering=0) as terminal:
            while True:
                try:
                    block = terminal.read(1 << 16)
                except OSError:  # Linux, once the other side is closed
                    break
                if not block:
                    break
                screen += block
        piped = process.stdout.read() if process.stdout else b""
        return process.wait(), bytes(screen), piped

    return driven


def rendered(screen: bytes) -> list[str]:
    """The lines that a terminal shows in the end: it can move up, and erase a line."""
    shown, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[0-9;?]*[a-zA-Z]|\r|\n|[^\x1b\r\n]+", screen.decode()):
        if part == "\n":
            row += 1
            shown += [""] * (row + 1 - len(shown))
        elif part == "\r":
            column = 0
        elif part.startswith("\x1b"):
            row -= int(part[2:-1] or 1) if part.endswith("A") else 0
            shown[row] = "" if part.endswith("K") else shown[row]
        else:
            shown[row] = shown[row][:column].ljust(column) + part + shown[row][column + len(part) :]
            column += len(part)
    return [line.rstrip() for line in shown]


def lines(screen: bytes) -> list[str]:
    """Everything that was ever printed, line by line."""
    return [line.rstrip() for line in CONTROLS.sub(b"", screen).decode().split("\n")]


@pytest.mark.parametrize("columns", WIDTHS)
def test_help_fits_the_terminal(drive, columns):
    status, screen, _ = drive(columns, "search", "--help")
    shown = lines(screen)
    assert status == 0
    # An example is one line however narrow the terminal is, so that it can be copied; a long name is not broken.
    example = '  sidecar search "life cycle of a flea" --index indexes/docs'
    assert example in shown
    assert [line for line in shown if len(line) > columns and line != example and " " in line.strip()] == []
    words = " ".join(" ".join(shown).split())
    assert "--dtype NAME Precision. auto: on a GPU bfloat16, or float16 if the GPU has no bfloat16;" in words
    assert "One of auto, float32, bfloat16, float16." in words or "(SIDECAR_DTYPE; default: auto)" in words


def test_piped_help_has_a_line_for_each_option(run):
    status, out, err = run("search", "--help")
    assert (status, err, "\x1b" in out) == (0, "", False)
    [hits] = [line for line in out.splitlines() if line.startswith("  --hits ")]
    assert re.sub(" +", " ", hits) == " --hits INTEGER Number of hits to return. 1 to 10000. Default: 10."
    [fusion] = [line for line in out.splitlines() if line.startswith("  --fusion ")]
    assert fusion.endswith(
        "says. One of rerank, linear, adaptive, rrf, geometric, harmonic. (SIDECAR_FUSION; default: unset)"
    )
    [window] = [line for line in out.splitlines() if line.startswith("  --window ")]
    assert window.endswith("whatever page is requested. 1 to 10000. (SIDECAR_WINDOW; default: 100)")


def test_commands_are_grouped_by_what_people_do(run):
    status, out, _ = run("--help")
    groups: dict[str, list[str]] = {}
    for line in out.splitlines():
        if re.fullmatch(r"[A-Z][a-z]+", line):
            groups[line] = []
        elif line.startswith("  "):
            groups[list(groups)[-1]].append(line.split()[0])
    assert (status, groups) == (
        0,
        {
            "Try": ["demo"],
            "Search": ["index", "search"],
            "Serve": ["serve", "install-pipeline", "mcp"],
            "Experiment": [
                "run",
                "rerank",
                "merge",
                "sweep",
                "evaluate",
                "compare",
                "judge",
                "report",
                "reproduce",
                "bench",
            ],
            "Train": ["mine", "teach", "train", "fit-calibration"],
            "Operate": ["doctor", "settings"],
            "Options": ["--debug", "--version", "--install-completion", "--show-completion", "--help,"],
        },
    )


def test_a_wrong_option_is_one_line_and_its_remedy(run):
    wrong = "--an-option-that-is-longer-than-a-terminal-is-wide" * 3
    status, out, err = run("search", "q", "--index", "i", wrong)
    assert (status, out) == (2, "")
    assert err.splitlines()[-1].startswith(f"Error: No such option: {wrong}")
    assert re.search("^Try 'sidecar search (-h|--help)' for help.$", err, re.MULTILINE)


@pytest.mark.parametrize("columns", WIDTHS)
def test_settings_show_whole_names(drive, columns):
    status, screen, _ = drive(columns, "settings")
    shown = lines(screen)
    assert status == 0
    words = " ".join(shown).split()
    assert [name for name in map(variable, Settings.model_fields) if name not in words] == []
    sections = [line for line in shown if line in SECTIONS]
    assert sections == list(SECTIONS)
    assert sections.index("Search") < sections.index("Service") < sections.index("Training")


def test_piped_settings_have_a_line_for_each(run, monkeypatch):
    monkeypatch.setenv("SIDECAR_WINDOW", "77")
    status, out, err = run("settings")
    assert (status, err) == (0, "")
    found = {line.split()[0]: line for line in out.splitlines() if line.startswith("SIDECAR_")}
    assert sorted(found) == sorted(map(variable, Settings.model_fields))
    assert found["SIDECAR_WINDOW"].split()[1:3] == ["77", "Number"]
    assert found["SIDECAR_RM3"].endswith("Expand queries of a Lucene index by RM3, a pseudo-relevance feedback.")
    assert [line for line in out.splitlines() if line != line.rstrip()] == []


def ranked(docids):
    """Turn around the order of documents with these ids."""
    candidates = [
        Candidate(docid, rank, 20.0 - rank, Passage(f"The title of number {rank}", "text"))
        for rank, docid in enumerate(docids, start=1)
    ]
    hits = [Ranked(one, rank, 1 / rank, 1 / rank) for rank, one in enumerate(reversed(candidates), start=1)]
    return candidates, Ranking("q", tuple(hits), {})


def printed(parts, width):
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(*parts, sep="\n")
    return [line.rstrip() for line in captured.get().splitlines()]


@pytest.mark.parametrize("width", [80, 160])
def test_a_hit_has_its_docid_and_its_title(width):
    candidates, ranking = ranked(["first", "second", "third"])
    assert [line.split() for line in printed(docids_and_titles(candidates, ranking, 2, width=width), width)] == [
        ["BM25", "score", "reranked", "title", "move", "score"],
        ["1", "first", "19.00", "third", *["The", "title", "of", "number", "3"], "↑2", "1.000"],
        ["2", "second", "18.00", "second", *["The", "title", "of", "number", "2"], "=", "0.500"],
    ]


@pytest.mark.parametrize(
    ("width", "docid"), [(40, "d"), (60, "docid-"), (80, "a-docid-of-thirty-characters-"), (160, "d" * 60)]
)
def test_hits_are_a_list_where_a_table_would_cut_their_ids(width, docid):
    candidates, ranking = ranked([f"{docid}{number}" for number in (1, 2, 3)])
    found = printed(docids_and_titles(candidates, ranking, 3, width=width), width)
    assert found == [
        f" 1  {docid}3  ↑2  1.000",
        "    The title of number 3",
        f" 2  {docid}2  =  0.500",
        "    The title of number 2",
        f" 3  {docid}1  ↓2  0.333",
        "    The title of number 1",
    ]
    assert max(map(len, found)) <= width


def test_a_long_title_is_cut_in_a_list_and_whole_in_a_pipe():
    candidates, ranking = ranked(["d"])
    long = "word " * 40
    candidates[0] = Candidate("d", 1, 1.0, Passage("", long))
    ranking = Ranking("q", (Ranked(candidates[0], 1, 1.0, 1.0),), {})
    assert printed(docids_and_titles(candidates, ranking, 1, width=40), 40)[1] == "    " + ("word " * 8)[:35] + "…"
    assert long.strip() in printed(docids_and_titles(candidates, ranking, 1, width=100_000), 100_000)[1]


def test_the_demo_shows_titles_side_by_side_where_they_fit():
    candidates, ranking = ranked(["d1", "d2"])
    assert printed(first_stage_and_reranked(candidates, ranking, 2, width=80), 80)[1].split() == (
        ["1", "The", "title", "of", "number", "1", "19.00", "The", "title", "of", "number", "2", "↑1", "1.000"]
    )
    assert printed(first_stage_and_reranked(candidates, ranking, 2, width=40), 40)[:2] == [
        " 1  d2  ↑1  1.000",
        "    The title of number 2",
    ]


def test_a_docid_is_no_markup():
    candidates, ranking = ranked(["[red]d"])
    assert printed(docids_and_titles(candidates, ranking, 1, width=40), 40)[0] == " 1  [red]d  =  1.000"


@pytest.fixture
def index(tmp_path, run, jvm):
    """Write a corpus of a few documents, and index it with Lucene."""
    del jvm
    texts = {"flea": "The life cycle of a flea is long.", "dog": "How long a dog lives.", "cat": "A cat has a flea."}
    documents = [{"id": docid, "title": docid.title(), "text": text} for docid, text in texts.items()]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(document) + "\n" for document in documents))
    assert run("index", "corpus.jsonl", "--index", "index")[0] == 0


@pytest.mark.live
@pytest.mark.usefixtures("index")
def test_a_search_says_on_the_terminal_what_it_does_and_keeps_stdout_clean(drive):
    words = ("search", "life cycle of a flea", "--index", "index", "--device", "cpu")
    status, screen, piped = drive(80, *words, "--format", "json", stdout=subprocess.PIPE)
    shown = " ".join(lines(screen))
    assert status == 0, shown
    for doing in ("starting Java and opening the index index", "loading the model e5-small"):
        assert doing in shown
    assert b"\x1b" not in piped
    found = json.loads(piped)
    assert [hit["docid"] for hit in found["candidates"]] == ["flea", "cat"]
    # The spinner is gone once the command ends.
    assert "".join(rendered(screen)) == ""


@pytest.mark.live
@pytest.mark.usefixtures("index")
@pytest.mark.parametrize("columns", [40, 80])
def test_a_search_in_a_terminal_shows_docids_and_titles(drive, columns):
    status, screen, _ = drive(columns, "search", "life cycle of a flea", "--index", "index", "--device", "cpu")
    shown = rendered(screen)
    assert status == 0, shown
    assert max(map(len, shown)) <= columns
    words = [re.sub(r"-?\d+\.\d+", "SCORE", line).split() for line in shown if line]
    if columns == 80:
        assert words == [
            ["BM25", "score", "reranked", "title", "move", "score"],
            ["1", "flea", "SCORE", "flea", "Flea", "=", "SCORE"],
            ["2", "cat", "SCORE", "cat", "Cat", "=", "SCORE"],
        ]
    else:
        assert words == [["1", "flea", "=", "SCORE"], ["Flea"], ["2", "cat", "=", "SCORE"], ["Cat"]]


@pytest.mark.live
@pytest.mark.usefixtures("jvm")
def test_the_doctor_is_short_unless_asked(run, tiny_llama):
    words = ("doctor", "--model", tiny_llama[1], "--device", "cpu")
    status, short, _ = run(*words)
    assert (status, [line.split() for line in short.splitlines()]) == (
        0,
        [
            ["device", "fine"],
            ["model", "fine"],
            ["Lucene", "fine"],
            ["OpenSearch", "not", "checked", "no", "--url", "and", "no", "SIDECAR_OPENSEARCH_URL"],
            ["index", "not", "checked", "no", "--index"],
            [],
            ["Reranking", "can", "run.", "sidecar", "doctor", "--verbose", "prints", "what", "each", "check", "found."],
        ],
    )
    status, whole, _ = run(*words, "--verbose")
    assert [line.split()[0] for line in whole.splitlines() if line] == [
        *("rerank-sidecar", "extras", "device", "engines", "model", "Lucene", "OpenSearch", "index", "Reranking")
    ]
    [model] = [line for line in whole.splitlines() if line.startswith("model ")]
    assert str(tiny_llama[1]) in model


@pytest.mark.live
@pytest.mark.usefixtures("jvm")
def test_the_doctor_says_how_to_fix_what_is_missing(run, tiny_llama):
    status, short, _ = run("doctor", "--model", tiny_llama[1], "--device", "cpu", "--index", "nowhere")
    assert status == 1
    assert "There is no directory 'nowhere', and no prebuilt index of Pyserini's has that name." in short
    assert "Reranking can't run: fix what is missing above." in short


def test_what_an_encoding_lacks_is_printed_as_json_reads_it(tmp_path):
    candidates = [{"docid": "d1", "score": 1, "text": "über → 🦊"}]
    line = json.dumps({"query_id": "q1", "query": "café", "candidates": candidates}, ensure_ascii=False)
    for name in ("one", "two"):
        (tmp_path / name).write_text(line + "\n", encoding="utf-8")
    printed = {
        form: subprocess.run(
            [sys.executable, "-m", "sidecar", "compare", "one", "two", *form],
            cwd=tmp_path,
            env=os.environ | {"PYTHONIOENCODING": "latin-1", "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout.decode("latin-1")
        for form in ((), ("--json",))
    }
    assert printed[()].startswith("one \\u2192 two, 1 queries\n")
    [query] = json.loads(printed[("--json",)])["queries"]
    assert (query["query"], query["moves"][0]["read"]) == ("café", "über → 🦊")


def test_a_word_that_is_not_utf8_is_refused_before_any_work(run):
    # A file name in Latin-1, which a manifest could not hold once all was scored.
    status, _, said = run("rerank", b"caf\xe9.jsonl".decode("utf-8", "surrogateescape"), "--output", "o")
    assert status == 1
    assert said.startswith("error: 'caf\\xe9.jsonl' on the command line is not UTF-8.\nRename the file")
