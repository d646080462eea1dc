"""Reasons for not reranking, or only in part: a code that can be counted, and a text for the caller. No I/O."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Reason(StrEnum):
    """A kind of reason, as metrics label it; the details of a case are in the text beside it."""

    # The search can't be reranked, whatever the scorer does.
    BODY_TOO_LARGE = "body_too_large"
    BODY_UNREADABLE = "body_unreadable"
    NOT_JSON = "not_json"
    MALFORMED = "malformed"
    OWN_ORDER = "own_order"
    UNKNOWN_MEMBER = "unknown_member"
    OTHER_FORM = "other_form"
    NO_QUERY_TEXT = "no_query_text"
    NO_HITS = "no_hits"
    NO_TEXT = "no_text"
    SIGNED = "signed"
    PIPELINE = "pipeline"
    NOT_ASKED = "not_asked"
    TEMPLATE = "template"
    # The configuration excludes it from reranking.
    SWITCHED_OFF = "switched_off"
    CONTROL = "control"
    SHADOW = "shadow"
    # OpenSearch did not return what reranking needs.
    SEARCH_REFUSED = "search_refused"
    WINDOW_REFUSED = "window_refused"
    ANSWER_UNREADABLE = "answer_unreadable"
    ANSWER_TOO_LARGE = "answer_too_large"
    UPSTREAM_FAILED = "upstream_failed"
    # The scorer did not score, or not all passages.
    FIRST_STAGE_TOO_SLOW = "first_stage_too_slow"
    TOO_SLOW = "too_slow"
    PARTLY_SCORED = "partly_scored"
    OVERLOADED = "overloaded"
    RATE_LIMITED = "rate_limited"
    SCORER_UNAVAILABLE = "scorer_unavailable"
    SCORING_FAILED = "scoring_failed"
    UNCALIBRATED = "uncalibrated"
    # Stage two did not order the hits, or not all of them; they are scored.
    STAGE_TWO_TOO_SLOW = "stage_two_too_slow"
    STAGE_TWO_UNAVAILABLE = "stage_two_unavailable"
    STAGE_TWO_FAILED = "stage_two_failed"
    STAGE_TWO_UNREADABLE = "stage_two_unreadable"
    INTERNAL_ERROR = "internal_error"


# Their texts repeat part of the search, or OpenSearch's message, which may: only the caller gets them, never a log.
QUOTING = frozenset({
    Reason.UNKNOWN_MEMBER, Reason.SEARCH_REFUSED, Reason.WINDOW_REFUSED, Reason.ANSWER_UNREADABLE
})  # fmt: skip


class Why(str):
    """A text that says why, its `reason`, and the seconds until it is over, None where nobody knows."""

    __slots__ = ("reason", "retry_after")
    reason: Reason
    retry_after: int | None

    def __new__(cls, reason: Reason, words: str, retry_after: int | None = None) -> Self:
        """Make the text with its reason."""
        why = super().__new__(cls, words)
        why.reason, why.retry_after = reason, retry_after
        return why

    @property
    def for_log(self) -> str:
        """Return the text, cut at 300 characters, or only the reason's code if the text may hold part of the query."""
        return self.reason.value if self.reason in QUOTING else str(self)[:300]

    def __getnewargs__(self) -> tuple[Reason, str, int | None]:  # type: ignore[override]
        """Return the arguments from which a copy is made."""
        return self.reason, str(self), self.retry_after
