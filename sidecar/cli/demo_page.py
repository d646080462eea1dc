"""The page /ui on an index of Lucene, served by this machine and opened in its browser."""

from __future__ import annotations

import http.client
import logging
import os
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

from sidecar.cli.terminal import say
from sidecar.core.errors import ConfigurationError
from sidecar.settings import Settings

INDEX = "python"
# Seconds in which the service must be ready, and between two questions whether it is.
_READY, _PAUSE = 120.0, 0.2


def check_page(settings: Settings, *, lucene: bool) -> None:
    """Raise `ConfigurationError` if the page can't be served, or a browser here could not be told its address."""
    if not lucene:
        raise ConfigurationError(
            "demo --web searches with Lucene, and pyserini is not installed.",
            remedy="Install rerank-sidecar[pyserini], or leave out --web.",
        )
    if settings.tls_cert is not None or settings.api_port == 0:
        raise ConfigurationError(
            "demo --web serves plain HTTP on a known port.", remedy="Unset SIDECAR_TLS_CERT and SIDECAR_API_PORT=0."
        )


def show_page(settings: Settings, directory: Path, question: str | None) -> None:
    """Serve the page on an index until Ctrl-C; the OpenSearch port is a free one, since nobody needs it."""
    import asyncio

    from sidecar.serving.run import serve

    host = "localhost" if settings.host in {"0.0.0.0", "::", "127.0.0.1"} else settings.host  # noqa: S104  compared
    asked = {"engine": "lucene", "index": INDEX, **({"q": question} if question else {})}
    page = f"http://{host}:{settings.api_port}/ui?{urlencode(asked)}"
    # A person reads this terminal: the service's log lines are for operators.
    for name in ("sidecar", "uvicorn"):
        logging.getLogger(name).setLevel(logging.ERROR)
    say("starting the service")
    threading.Thread(target=_open_when_ready, args=(host, settings.api_port, page), daemon=True).start()
    changes = {"lucene_indexes": {INDEX: str(directory)}, "port": 0, "ui": True}
    asyncio.run(serve(settings.model_copy(update=changes)))


def _open_when_ready(host: str, port: int, page: str) -> None:
    """Say where the page is as soon as it works, and open it if there is a graphical browser."""
    ends = time.monotonic() + _READY
    while not _is_ready(host, port):
        if time.monotonic() > ends:
            return
        time.sleep(_PAUSE)
    say(f"the page is at {page} (Ctrl-C ends it)")
    if has_desktop():
        import webbrowser

        webbrowser.open(page)


def _is_ready(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def has_desktop() -> bool:
    """Tell whether a browser would open in a window, not in this terminal."""
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
