"""Two sets of queries: one to choose a setting by, the other to report its figures on."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sidecar.core.errors import InputError
from sidecar.core.json_lines import is_object, parse, records
from sidecar.experiments.topics import ID_FIELDS

_OBJECTS = msgspec.json.Decoder(dict[str, object])


@dataclass(frozen=True, slots=True)
class Split:
    """The ids of the queries to choose by and of those to report on; `about` says how they were found."""

    choose: Sequence[str]
    report: Sequence[str]
    about: str


def split_by_seed(qids: Collection[str], fraction: float, seed: int) -> Split:
    """Draw a fraction of the queries to choose by: those with the smallest hashes of seed and id, on any machine.

    Raises `InputError` if one of the two sets would be empty.
    """
    drawn = sorted(qids, key=lambda qid: hashlib.blake2b(f"{seed} {qid}".encode(), digest_size=16).digest())
    count = round(fraction * len(drawn))
    return _checked(drawn[:count], drawn[count:], f"a fraction of {fraction:g}, seed {seed}")


def split_by_file(qids: Collection[str], path: Path) -> Split:
    """Choose by the queries whose ids a file has: topics, or an id a line. Others of the file are left out, counted.

    Raises `InputError` with file and line for an id that is listed twice, and if one of the two sets would be empty.
    """
    listed = _ids(path)
    choose = [qid for qid in listed if qid in qids]
    foreign = len(listed) - len(choose)
    left = f" ({foreign} others of it have no topic or judgement here)" if foreign else ""
    return _checked(choose, [qid for qid in qids if qid not in listed], f"the queries of {path}{left}")


def _ids(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for where, line in records(path):
        qid = _id(line, where)
        if qid in found:
            raise InputError(f"{where}: the query {qid!r} was there before, in {found[qid]}.")
        found[qid] = where
    if not found:
        raise InputError(f"{path} holds no query id.", remedy="Give topics, or one id a line.")
    return found


def _id(line: bytes, where: str) -> str:
    if not is_object(line):
        return line.decode().split("\t")[0].strip()
    topic = parse(line, where, _OBJECTS, what="no JSON object", remedy="Give topics, or one id a line.")
    found = next((topic[name] for name in ID_FIELDS if isinstance(topic.get(name), str | int)), None)
    if found is None:
        raise InputError(f"{where}: no id.", remedy=f"The id must be in one of {', '.join(ID_FIELDS)}.")
    return str(found)


def _checked(choose: Sequence[str], report: Sequence[str], about: str) -> Split:
    if not choose or not report:
        lacking = "to report on" if choose else "to choose by"
        raise InputError(
            f"{about}: no judged query is left {lacking}.", remedy="Name some of the judged queries, not all or none."
        )
    return Split(sorted(choose), sorted(report), about)
