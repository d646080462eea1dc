"""Index expressions: which indices a search may reach, and whether a rule's expression covers them all. No I/O.

Source: OpenSearch's index name expressions: names and `*` patterns with commas between, `-` takes away what an earlier
pattern brought in, `<logs-{now/d}>` is date math, commas at the end count for nothing. Aliases are names like others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# `{now/d}`, `{now/M{yyyy.MM|+12:00}}`
_DATE = re.compile(r"\{(?:[^{}]|\{[^{}]*\})*\}")


@dataclass(frozen=True, slots=True)
class IndexExpression:
    """Patterns of searched indices, and of excluded ones; `*` stands for anything, also for a date."""

    included: tuple[str, ...]
    excluded: tuple[str, ...] = ()

    @classmethod
    def parse(cls, expression: str) -> IndexExpression:
        """Read an expression; an empty one, and `_all`, are all indices."""
        included: list[str] = []
        excluded: list[str] = []
        for part in expression.rstrip(",").split(","):
            if part.startswith("-") and any("*" in earlier for earlier in included):
                # The date is unknown, so no index is excluded for certain.
                excluded += [] if part.startswith("-<") else [part[1:]]
            else:
                included.append(_pattern(part))
        return cls(tuple(included), tuple(excluded))

    def covers(self, searched: IndexExpression) -> bool:
        """Tell whether every index that `searched` may reach is among these."""
        return all(any(_is_within(part, one) for one in self.included) for part in searched.included) and not any(
            _overlap(part, one) and not any(_is_within(one, gone) for gone in searched.excluded)
            for part in searched.included
            for one in self.excluded
        )


def _pattern(part: str) -> str:
    if part in {"", "_all"}:
        return "*"
    return _DATE.sub("*", part[1:-1]) if part.startswith("<") and part.endswith(">") else part


def _is_within(pattern: str, other: str) -> bool:
    """Tell whether all names of a pattern are names of the other one: only a `*` matches a `*`."""
    return re.fullmatch(".*".join(map(re.escape, other.split("*"))), pattern, re.DOTALL) is not None


def _overlap(one: str, other: str) -> bool:
    """Tell whether a name may match both patterns: certain if one of them is a name, else judged by their ends."""
    if "*" not in one or "*" not in other:
        return _is_within(one, other) or _is_within(other, one)
    head, its_head = one.partition("*")[0], other.partition("*")[0]
    tail, its_tail = one.rpartition("*")[2], other.rpartition("*")[2]
    heads_agree = head.startswith(its_head) or its_head.startswith(head)
    return heads_agree and (tail.endswith(its_tail) or its_tail.endswith(tail))
