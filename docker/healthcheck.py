"""Asks the service beside it whether a model answers: exit status 0 if so, else 1 and why not. No curl needed."""

import http.client
import os
import ssl
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
    if os.environ.get("SIDECAR_TLS_CERT"):
        connection = http.client.HTTPSConnection(address, port, timeout=4, context=own_tls())
    try:
        connection.request("GET", PATH, headers={"Host": served})
        answer = connection.getresponse()
        return answer.status, answer.read(500).decode("utf-8", "replace")
    finally:
        connection.close()


def own_tls() -> ssl.SSLContext:
    """TLS without a look at whom the certificate names: it is for clients from elsewhere, and this is the same host.

    Where clients have to show a certificate, the service's own is shown; its CA has to be among those of clients.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if os.environ.get("SIDECAR_TLS_CLIENT_CA"):
        context.load_cert_chain(os.environ["SIDECAR_TLS_CERT"], os.environ.get("SIDECAR_TLS_KEY") or None)
    return context


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
