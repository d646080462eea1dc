"""Asks the service beside it whether a model answers: exit status 0 if so, else 1 and why not. No curl needed."""

import http.client
import os
import sys

PATH = "/_sidecar/health/ready"


def ask() -> tuple[int, str]:
    """Status and body of the answer. Raises `OSError` where nothing listens yet."""
    listened = os.environ.get("SIDECAR_HOST") or "127.0.0.1"
    address = "127.0.0.1" if listened in {"0.0.0.0", "::"} else listened  # noqa: S104  compared, not bound
    named = os.environ.get("SIDECAR_PORT") or ""
    # A Kubernetes Service named `sidecar` puts tcp://… there, which the service ignores, too.
    port = int(named) if named and "://" not in named else 9280
    # Where only some host names are served, the first of them is one that is.
    served = (os.environ.get("SIDECAR_ALLOWED_HOSTS") or "localhost").split(",")[0].strip()
    connection = http.client.HTTPConnection(address, port, timeout=4)
    try:
        connection.request("GET", PATH, headers={"Host": served})
        answer = connection.getresponse()
        return answer.status, answer.read(500).decode("utf-8", "replace")
    finally:
        connection.close()


def main() -> int:
    """Print what was said, and tell by the exit status."""
    try:
        status, said = ask()
    except (OSError, http.client.HTTPException) as error:
        print(f"no answer: {error}")
        return 1
    print(said)
    return 0 if status == http.HTTPStatus.OK else 1


if __name__ == "__main__":
    sys.exit(main())
