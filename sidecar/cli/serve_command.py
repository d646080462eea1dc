"""`sidecar serve`: run the service in front of OpenSearch."""

from __future__ import annotations

from sidecar.cli.app import command
from sidecar.cli.options import FIELDS, FUSION, LISTWISE, MODEL, OPENSEARCH, SERVICE, takes
from sidecar.settings import Settings

# In the service the budget of a search is the time of its stage two, and a generator on this machine is refused.
STAGE_TWO = tuple(name for name in LISTWISE if name not in {"listwise_timeout", "listwise_base_model"})


@command("serve", example="sidecar serve --url http://localhost:9200")
# `--url` as in other commands, and the longer name because the service has addresses of its own.
@takes(
    *("window", "min_relevance", *SERVICE, *MODEL, *FUSION, *STAGE_TWO, *FIELDS, *OPENSEARCH),
    opensearch_url=("--url", "--opensearch-url"),
)
def serve_command(*, settings: Settings) -> None:
    """Serve a proxy in front of OpenSearch that reranks searches, and a rerank API on a second port."""
    import asyncio

    from sidecar.serving.run import serve

    asyncio.run(serve(settings))
