"""OpenSearch's own words for a search that it refuses."""

from __future__ import annotations

import json


def too_large(limit=50, asked=100):
    return (
        f"Result window is too large, from + size must be less than or equal to: [{limit}] but was [{asked}]. See the "
        "scroll api for a more efficient way to request large data sets. This limit can be set by changing the "
        "[index.max_result_window] index level setting."
    )


def cause(reason, kind="illegal_argument_exception", **more):
    return {"type": kind, "reason": reason, **more}


def refused(*causes):
    """Build the body of a search that every shard refused."""
    shards = [{"shard": 0, "index": "docs", "node": "n", "reason": one} for one in causes]
    error = {"root_cause": causes, "type": "search_phase_execution_exception", "failed_shards": shards}
    return json.dumps({"error": error, "status": 400}).encode()
