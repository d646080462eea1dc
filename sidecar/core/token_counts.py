"""How many tokens a model read for several pairs, as far as that is known exactly. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sidecar.core.candidates import RequestTokens, Score


def total_tokens(scores: Sequence[Score]) -> int | None:
    """Return the tokens of all pairs together; None if they are not known.

    A remote scorer counts a whole request. Its count is used only if the scores hold every pair of that request once:
    a share of it would be an estimate.
    """
    total = 0
    requests: dict[RequestTokens, list[int]] = defaultdict(list)
    for score in scores:
        if score.tokens is not None:
            total += score.tokens
        elif score.request is not None:
            requests[score.request].append(id(score))
        else:
            return None
    for request, found in requests.items():
        if not len(found) == len(set(found)) == request.pairs:
            return None
        total += request.tokens
    return total
