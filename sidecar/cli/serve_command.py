"""`sidecar serve`: the service, in front of an OpenSearch."""

from __future__ import annotations

from sidecar.cli.app import app
from sidecar.cli.options import FIELDS, FUSION, MODEL, OPENSEARCH, SERVICE, takes
from sidecar.settings import Settings


@app.command("serve")
# `--url` as everywhere, and the longer name because the service has addresses of its own.
@takes("window", *SERVICE, *MODEL, *FUSION, *FIELDS, *OPENSEARCH, opensearch_url=("--url", "--opensearch-url"))
def serve_command(*, settings: Settings) -> None:
    """Stand between OpenSearch and its clients, and rerank the searches that ask for it."""
    import asyncio

    from sidecar.serving.run import serve

    asyncio.run(serve(settings))
