"""`sidecar serve`: run the service in front of OpenSearch."""

from __future__ import annotations

from sidecar.cli.app import command
from sidecar.cli.options import FIELDS, FUSION, MODEL, OPENSEARCH, SERVICE, takes
from sidecar.settings import Settings


@command("serve", example="sidecar serve --url http://localhost:9200")
# `--url` as in other commands, and the longer name because the service has addresses of its own.
@takes(
    *("window", "min_relevance", *SERVICE, *MODEL, *FUSION, *FIELDS, *OPENSEARCH),
    opensearch_url=("--url", "--opensearch-url"),
)
def serve_command(*, settings: Settings) -> None:
    """Serve a proxy in front of OpenSearch that reranks searches, and a rerank API on a second port."""
    import asyncio

    from sidecar.serving.run import serve

    asyncio.run(serve(settings))
