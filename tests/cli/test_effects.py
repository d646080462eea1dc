"""An option that was typed and has no effect is refused by its name and the reason; a manifest records what had one."""

from __future__ import annotations

import json
import shlex
import sys

import pytest
from typer.main import get_command

from sidecar.cli.app import app
from sidecar.cli.effects import COMMON, SearchEngine, chosen_engine, in_effect
from sidecar.cli.first_stages import SEARCHED
from sidecar.cli.main import main
from sidecar.cli.options import BM25, FUSION, RM3
from sidecar.core.errors import ConfigurationError
from sidecar.settings import Settings, load_settings

ALONE = "without --fusion the model's own choice decides; rerank has no weight, and adaptive computes its weight"
MEANS = "scores are normalised only with --fusion linear, adaptive, geometric or harmonic"
RRF = "only --fusion rrf has a rank constant"
CHUNKS = "passages are scored in chunks only with --long-passages chunk"
EXPANDED = "queries are expanded only with --rm3"
OWN_BM25 = "OpenSearch computes BM25 by the settings of the index, and has no RM3"
NO_PYSERINI = "OpenSearch is searched without a Pyserini server"
NO_OPENSEARCH = "a Lucene index is searched without OpenSearch"
AWS = "requests are signed for AWS only with --opensearch-aws-region"
COLUMN = "only the TREC format has a column for it"
NOT_STORED = "a Lucene index does not store them; give them to the command that searches it"
HERE = "a Lucene index is built on this machine, without OpenSearch"
NO_SERVER = "there is no Pyserini server without --pyserini-url"
UNMEASURED = "nothing is measured during training without --development"

RUN = "run --topics t.tsv --index i --output o"
MINE = "mine --topics t.tsv --qrels q --index i --output o"
TRAIN = "train d.jsonl --base-model e5-small --output o"


@pytest.fixture
def said(monkeypatch, tmp_path, capsys):
    """Run a command line in an empty folder that fails; returns what it said, a line each."""
    monkeypatch.chdir(tmp_path)

    def command(words: str) -> list[str]:
        with pytest.raises(SystemExit) as end:
            main(shlex.split(words))
        assert end.value.code == 1
        return capsys.readouterr().err.splitlines()

    return command


def succeed(words: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(shlex.split(words))
    assert not end.value.code


@pytest.mark.parametrize(
    ("words", "flags", "reason"),
    [
        *(
            (f"{command} {given}", flags, reason)
            for command in ("rerank c.jsonl --output o", RUN, "search q --index i", "demo", "serve")
            for given, flags, reason in [
                ("--fusion-weight 0.3", "--fusion-weight has", ALONE),
                ("--fusion rerank --fusion-weight 1", "--fusion-weight has", ALONE),
                ("--fusion-arithmetic opensearch", "--fusion-arithmetic has", ALONE),
                ("--normalization l2", "--normalization has", MEANS),
                ("--fusion rrf --normalization z_score", "--normalization has", MEANS),
                ("--rank-constant 60", "--rank-constant has", RRF),
                ("--fusion linear --rank-constant 60", "--rank-constant has", RRF),
                ("--chunk-tokens 100 --max-chunks 3", "--chunk-tokens, --max-chunks have", CHUNKS),
                ("--chunk-overlap 3 --long-passages cut", "--chunk-overlap has", CHUNKS),
            ]
        ),
        ("teach d.jsonl --output o --max-chunks 3", "--max-chunks has", CHUNKS),
        ("fit-calibration c.jsonl --chunk-tokens 64", "--chunk-tokens has", CHUNKS),
        *(
            (f"{command} {given}", flags, reason)
            for command in (RUN, MINE, "search q --index i")
            for given, flags, reason in [
                ("--engine opensearch --k1 3 --b 0.1 --rm3", "--k1, --b, --rm3 have", OWN_BM25),
                ("--url http://localhost:1 --k1 0.9", "--k1 has", OWN_BM25),
                ("--engine opensearch --rm3-fb-terms 5", "--rm3-fb-terms has", OWN_BM25),
                ("--engine opensearch --pyserini-url http://p:1", "--pyserini-url has", NO_PYSERINI),
                ("--engine opensearch --pyserini-timeout 3", "--pyserini-timeout has", NO_PYSERINI),
                ("--engine lucene --url http://localhost:1", "--url has", NO_OPENSEARCH),
                (
                    "--opensearch-user u --opensearch-timeout 3",
                    "--opensearch-user, --opensearch-timeout have",
                    NO_OPENSEARCH,
                ),
                ("--no-opensearch-verify-certs", "--opensearch-verify-certs has", NO_OPENSEARCH),
                ("--rm3-fb-docs 5", "--rm3-fb-docs has", EXPANDED),
                ("--rm3-original-query-weight 1", "--rm3-original-query-weight has", EXPANDED),
                ("--no-rm3 --rm3-fb-terms 5", "--rm3-fb-terms has", EXPANDED),
                ("--pyserini-timeout 3", "--pyserini-timeout has", NO_SERVER),
                ("--pyserini-url http://p:1 --rm3", "--rm3 has", "a Pyserini server has no RM3"),
                ("--engine opensearch --opensearch-aws-service aoss", "--opensearch-aws-service has", AWS),
            ]
        ),
        (f"{MINE} --click-action buy", "--click-action has", "there are no clicks (--click-events)"),
        (f"{RUN} --output-format jsonl --tag mine", "--tag has", COLUMN),
        ("rerank c.jsonl --output o --tag mine", "--tag has", COLUMN),
        ("rerank c.jsonl --output o --format msmarco --tag mine", "--tag has", COLUMN),
        ("index c.jsonl --index i --k1 1 --b 1", "--k1, --b have", NOT_STORED),
        ("index c.jsonl --index i --opensearch-user u", "--opensearch-user has", HERE),
        ("index c.jsonl --index i --engine lucene --url http://localhost:1", "--url has", HERE),
        ("serve --opensearch-aws-service aoss", "--opensearch-aws-service has", AWS),
        ("doctor --text-fields a", "--text-fields has", "fields are checked only with --index"),
        ("doctor --opensearch-user u", "--opensearch-user has", "OpenSearch is checked only with --url"),
        ("doctor --engine lucene", "--engine has", "an index is checked only with --index"),
        ("install-pipeline --undo --seconds 3", "--seconds has", "--undo finds by --name what it removes"),
        ("bench --qrels q", "--qrels has", "judgements are used with --agreement only"),
        ("bench --agreement --rounds 3 --scaling", "--rounds, --scaling have", "--agreement measures no time"),
        ("bench --model m --pairs p --seed 3", "--seed has", "nothing is random with --model and --pairs"),
        (f"{TRAIN} --method full --lora-rank 3", "--lora-rank has", "--method full trains every weight"),
        (
            f"{TRAIN} --distillation-weight 0 --temperature 3",
            "--temperature has",
            "nothing is distilled with --distillation-weight 0",
        ),
        (f"{TRAIN} --standardize-teacher", "--standardize-teacher has", "there is no teacher without --teacher-scores"),
        (
            f"{TRAIN} --teacher-scores a --teacher-scores b --no-standardize-teacher",
            "--standardize-teacher has",
            "the scores of several teachers are always standardised",
        ),
        (f"{TRAIN} --patience 2 --development-depth 9", "--development-depth, --patience have", UNMEASURED),
        (f"{TRAIN} --leaks drop", "--leaks has", "there is no evaluation without --evaluation"),
        (f"{TRAIN} --from a --lora-rank 3", "--lora-rank has", "--from continues an adapter, which has its own"),
        (
            f"{TRAIN} --development l --held-out 0.2",
            "--held-out has",
            "the lists of --development are measured instead",
        ),
    ],
)  # fmt: skip
def test_what_has_no_effect_is_refused(said, words, flags, reason):
    assert said(words)[0] == f"error: {flags} no effect here: {reason}."


def test_every_reason_is_given_and_every_option_once(said):
    assert said("search q --index i --engine opensearch --rm3-fb-terms 3 --rank-constant 5") == [
        f"error: --rm3-fb-terms has no effect here: {OWN_BM25}.",
        f"--rank-constant has no effect here: {RRF}.",
        "Leave out the option, or change what it depends on.",
    ]


def test_only_what_was_typed_is_refused(said, monkeypatch, tmp_path):
    monkeypatch.setenv("SIDECAR_RANK_CONSTANT", "3")
    monkeypatch.setenv("SIDECAR_K1", "3")
    (tmp_path / "sidecar.toml").write_text('normalization = "l2"\n')
    assert said("rerank nope.jsonl --output o") == ["error: can't read nope.jsonl: No such file or directory."]


def test_conditions_speak_of_options_that_there_are():
    parameters = {one.name for command in get_command(app).commands.values() for one in command.params}
    named = {name for one in (*COMMON, *SEARCHED) for name in one.options}
    assert named <= set(Settings.model_fields) & parameters


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, ["fusion"]),
        ({"fusion": "rrf"}, ["fusion", "fusion_weight", "rank_constant", "fusion_arithmetic"]),
        ({"fusion": "adaptive"}, ["fusion", "normalization"]),
        ({"fusion": "linear"}, ["fusion", "normalization", "fusion_weight", "fusion_arithmetic"]),
    ],
)
def test_a_fusions_settings_in_effect(flags, expected, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert in_effect(FUSION, load_settings(flags)) == expected


@pytest.mark.parametrize(
    ("engine", "flags", "expected"),
    [
        (SearchEngine.OPENSEARCH, {"rm3": True, "k1": 3.0}, []),
        (SearchEngine.LUCENE, {}, ["k1", "b", "rm3"]),
        (SearchEngine.LUCENE, {"rm3": True}, [*BM25, *RM3]),
        (SearchEngine.LUCENE, {"pyserini_url": "http://p:1"}, []),
        (SearchEngine.LUCENE, {"pyserini_url": "http://p:1", "k1": 1.2}, ["k1", "b"]),
    ],
)
def test_a_first_stages_settings_in_effect(engine, flags, expected, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert in_effect(BM25 + RM3, load_settings(flags), SEARCHED, engine=engine) == expected


@pytest.mark.parametrize(
    ("engine", "flags", "expected"),
    [
        (None, {}, SearchEngine.LUCENE),
        (None, {"opensearch_url": "http://localhost:1"}, SearchEngine.OPENSEARCH),
        (None, {"pyserini_url": "http://p:1"}, SearchEngine.LUCENE),
        (SearchEngine.LUCENE, {"opensearch_url": "http://localhost:1"}, SearchEngine.LUCENE),
        (SearchEngine.OPENSEARCH, {}, SearchEngine.OPENSEARCH),
        (SearchEngine.LUCENE, {"opensearch_url": "http://o:1", "pyserini_url": "http://p:1"}, SearchEngine.LUCENE),
    ],
)
def test_the_engine_follows_from_the_url(engine, flags, expected, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert chosen_engine(engine, load_settings(flags)) is expected


def test_two_urls_need_a_word_on_the_engine(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    settings = load_settings({"opensearch_url": "http://o:1", "pyserini_url": "http://p:1"})
    with pytest.raises(ConfigurationError, match="--engine opensearch or --engine lucene"):
        chosen_engine(None, settings)


@pytest.mark.parametrize("command", ["search q --index docs", RUN, MINE, "index c.jsonl --index docs"])
def test_a_url_leads_to_opensearch(said, command, tmp_path):
    (tmp_path / "t.tsv").write_text("1\tq\n")
    (tmp_path / "q").write_text("1 0 d 1\n")
    (tmp_path / "c.jsonl").write_text('{"id": "d", "text": "x"}\n')
    assert said(f"{command} --url http://127.0.0.1:9 --opensearch-retries 0")[0].startswith(
        "error: no connection to OpenSearch at http://127.0.0.1:9"
    )


FUSED = {"fusion": "linear", "fusion_weight": "0.9", "normalization": "min_max", "fusion_arithmetic": "exact"}


@pytest.mark.parametrize(
    ("words", "recorded"),
    [
        ("", {"fusion": "None"}),
        ("--fusion rerank", {"fusion": "rerank"}),
        ("--fusion linear", FUSED),
        ("--fusion linear --fusion-weight 0.25", FUSED | {"fusion_weight": "0.25"}),
    ],
)
def test_a_manifest_records_what_had_an_effect(tmp_path, monkeypatch, tiny_llama, words, recorded):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIDECAR_RANK_CONSTANT", "3")
    monkeypatch.setenv("SIDECAR_MAX_CHUNKS", "3")
    query = {"query": {"text": "q", "qid": "1"}, "candidates": [{"docid": "d", "score": 1.0, "doc": {"text": "x"}}]}
    (tmp_path / "c.jsonl").write_text(json.dumps(query) + "\n")
    succeed(f"rerank c.jsonl --output o --device cpu --model {tiny_llama[1]} {words}")
    settings = json.loads((tmp_path / "o.manifest.json").read_text())["settings"]
    assert {name: str(settings[name]) for name in FUSION if name in settings} == recorded
    assert {"max_chunks", "chunk_tokens", "chunk_overlap"}.isdisjoint(settings)


def test_what_is_finished_is_replaced_by_force_alone(tmp_path, said, tiny_llama):
    query = {"query": {"text": "q", "qid": "1"}, "candidates": [{"docid": "d", "score": 1.0, "doc": {"text": "x"}}]}
    (tmp_path / "c.jsonl").write_text(json.dumps(query) + "\n")
    (tmp_path / "o").write_text("mine\n")
    words = f"rerank c.jsonl --output o --device cpu --model {tiny_llama[1]}"
    refused = ["error: o exists already, and is finished.", "Write to another file, or replace it with --force."]
    for more in ("", " --resume"):
        assert said(words + more) == refused
    assert (tmp_path / "o").read_text() == "mine\n"
    succeed(f"{words} --force")
    assert json.loads((tmp_path / "o").read_text())["query"] == {"text": "q", "qid": "1"}


@pytest.mark.parametrize("command", [RUN, MINE, "teach d.jsonl --output o"])
def test_every_long_command_keeps_what_is_finished(said, tmp_path, command):
    (tmp_path / "o").write_text("mine\n")
    assert said(command)[0] == "error: o exists already, and is finished."


def test_the_first_stages_run_is_kept_too(said, tmp_path):
    (tmp_path / "o.first-stage").write_text("mine\n")
    assert said(RUN)[0] == "error: o.first-stage exists already, and is finished."


@pytest.mark.parametrize("command", ["train nope.jsonl --base-model e5-small --output o", "index nope.jsonl --index i"])
def test_a_missing_file_is_named_before_anything_is_loaded(said, command, monkeypatch):
    # What takes seconds can't even be imported here.
    monkeypatch.setitem(sys.modules, "sidecar.training.student", None)
    monkeypatch.setitem(sys.modules, "connectors.pyserini.build", None)
    assert said(command) == ["error: can't read nope.jsonl: No such file or directory."]
