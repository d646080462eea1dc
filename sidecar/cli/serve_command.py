"""`sidecar serve`: the service, in front of an OpenSearch."""

from __future__ import annotations

from sidecar.cli.app import app
from sidecar.cli.options import FIELDS, FUSION, MODEL, OPENSEARCH, SERVICE, takes
from sidecar.settings import Settings


@app.command("serve")
@takes("window", "opensearch_url", *SERVICE, *MODEL, *FUSION, *FIELDS, *OPENSEARCH)
def serve_command(*, settings: Settings) -> None:
    """Stand between OpenSearch and its clients, and rerank the searches that ask for it."""
    import asyncio

    from sidecar.serving.run import serve

    asyncio.run(serve(settings))
