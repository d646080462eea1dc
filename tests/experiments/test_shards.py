"""Shards: which queries belong to which, what a file of one says, and which files can't be merged."""

from __future__ import annotations

import pytest

from sidecar.core.errors import ConfigurationError, InputError
from sidecar.experiments.journal import Journal
from sidecar.experiments.shards import Shard, ShardFile, in_order, interleaved, publish_shard

ORIGIN = {"command": "rerank", "settings": {"input": "abc", "window": 100}, "format": "trec", "tag": "t"}
MODEL = {"model": "m", "content": "1234"}


def made(folder, shard, queries=5, *, total=None, model=MODEL, versions=None, **origin):
    names = list(Shard.parse(shard).of(f"q{i}" for i in range(queries)))
    path = Shard.parse(shard).file(folder / "run")
    with Journal(path, {}, resume=False) as journal:
        for name in names:
            journal.add(name, b'{"of":"%s"}' % name.encode())
        publish_shard(
            journal,
            path,
            Shard.parse(shard),
            queries if total is None else total,
            origin={**ORIGIN, **origin},
            model=model,
            versions=versions or {"torch": "2"},
            local={"seconds": 1.5},
        )
    return ShardFile(path)


@pytest.mark.parametrize("queries", [0, 1, 2, 3, 7, 200])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_merged_is_the_order_of_the_input(tmp_path, queries, count):
    shards = [f"{number}/{count}" for number in range(count, 0, -1)]
    files = in_order([made(tmp_path, shard, queries) for shard in shards])
    assert [file.header.number for file in files] == list(range(1, count + 1))
    assert list(interleaved(files)) == [b'{"of":"q%d"}' % i for i in range(queries)]
    assert sum(Shard(number + 1, count).size(queries) for number in range(count)) == queries


def test_a_position_is_in_one_shard():
    shards = [Shard(number, 3) for number in (1, 2, 3)]
    assert [[shard.has(position) for shard in shards] for position in range(4)] == [
        [True, False, False],
        [False, True, False],
        [False, False, True],
        [True, False, False],
    ]


@pytest.mark.parametrize(
    "text", ["", "1", "0/2", "3/2", "-1/2", "1/0", "1/2/3", "a/b", "1.0/2", "1/99999", "\u0661/\u0662"]
)
def test_what_is_no_part_is_refused(text):
    with pytest.raises(ConfigurationError, match="is not a part of a run"):
        Shard.parse(text)


def test_missing_shards_are_named(tmp_path):
    files = [made(tmp_path, shard) for shard in ("1/4", "3/4")]
    with pytest.raises(InputError, match="2 of 4 shards are missing: 2, 4") as refused:
        in_order(files)
    assert refused.value.remedy == "Run them (--shard 2/4), and give all files."


def test_a_shard_twice_is_refused(tmp_path):
    files = [made(tmp_path, shard) for shard in ("1/2", "2/2")]
    with pytest.raises(InputError, match="are the same shard, 2/2"):
        in_order([*files, files[1]])


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"settings": {"input": "abd", "window": 100}}, "settings.input"),
        ({"settings": {"input": "abc", "window": 100, "k1": 1}}, "settings.k1"),
        ({"model": {"model": "m", "content": "1235"}}, "model.content"),
        ({"tag": "u"}, "tag"),
        ({"command": "run"}, "command"),
        ({"total": 6}, "the number of queries"),
    ],
)
def test_shards_of_different_runs_are_refused(tmp_path, other, named):
    with pytest.raises(InputError, match=f"are of different runs; they differ in {named}\\."):
        in_order([made(tmp_path, "1/2"), made(tmp_path, "2/2", **other)])


def test_shards_of_another_number_are_refused(tmp_path):
    with pytest.raises(InputError, match="they differ in the number of shards"):
        in_order([made(tmp_path, "1/2"), made(tmp_path, "2/3")])


def test_other_versions_are_refused_unless_allowed(tmp_path):
    files = [made(tmp_path, "1/2"), made(tmp_path, "2/2", versions={"torch": "3"})]
    with pytest.raises(InputError, match="different versions of torch") as refused:
        in_order(files)
    assert "--any-versions" in refused.value.remedy
    assert in_order(files, any_versions=True) == files


def test_a_query_of_two_shards_is_refused(tmp_path):
    one, two = made(tmp_path, "1/2", 4), made(tmp_path, "2/2", 4)
    two.path.write_bytes(two.path.read_bytes().replace(b'"qid":"q3"', b'"qid":"q0"'))
    with pytest.raises(InputError, match="has query 'q0', which was there before"):
        list(interleaved(in_order([one, two])))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: data[: data.rindex(b"{")], r"damaged: line 4 is not one of a shard"),
        (lambda data: b"".join(data.splitlines(keepends=True)[:-1]), r"damaged: it holds 2 of its 3 queries"),
        (lambda data: data + data.splitlines(keepends=True)[-1], r"damaged: it holds 4 of its 3 queries"),
        (lambda data: data[:-9] + b"\xff\xff\xff}\n", r"damaged: line 4 is not one of a shard"),
    ],
)
def test_damaged_shards_are_refused(tmp_path, damage, said):
    one, two = made(tmp_path, "1/2"), made(tmp_path, "2/2")
    one.path.write_bytes(damage(one.path.read_bytes()))
    with pytest.raises(InputError, match=said):
        list(interleaved(in_order([one, two])))


@pytest.mark.parametrize("content", [b"", b"q1 Q0 d1 1 2.0 tag\n", b'{"query": "text"}\n', b"\xff\xfe\x00"])
def test_other_files_are_no_shards(tmp_path, content):
    (tmp_path / "run").write_bytes(content)
    with pytest.raises(InputError, match="is not a shard"):
        ShardFile(tmp_path / "run")


def test_an_absent_file_is_said_to_be(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        ShardFile(tmp_path / "run")


def test_a_shard_of_too_few_queries_is_refused(tmp_path):
    with pytest.raises(InputError, match="has 3 queries, where its part of 8 is 4"):
        in_order([made(tmp_path, "1/2", 5, total=8), made(tmp_path, "2/2", 7, total=8)])
