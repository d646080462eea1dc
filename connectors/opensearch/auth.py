"""Options of a connection to a cluster: its nodes, the account, the certificates. Reads files, and sends nothing.

opensearch-py does all the rest; no secret is in a message or a repr.
"""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from opensearchpy import Urllib3AWSV4SignerAuth

from sidecar.core.errors import ConfigurationError

AwsService = Literal["es", "aoss"]

# A comma separates two URLs only before the next one's scheme: a password may hold commas.
_NEXT_URL = re.compile(r",\s*(?=https?://)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Access:
    """The account, and the certificates to trust.

    The account is one of three: `user` with `password` (a URL may hold both, too), `token`, or `aws_region`. A
    `token` is sent as `Authorization: Bearer …`, or as it is if it names its scheme itself (`ApiKey …`). With
    `aws_region` requests are signed (SigV4) for `aws_service`, `es` (a domain) or `aoss` (serverless), with the
    credentials that botocore finds. `client_cert` and `client_key` are PEM files, and may be combined with
    any of the three. `ca_certs` is a PEM file; without `verify_certs` any certificate is trusted.
    """

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    aws_region: str | None = None
    aws_service: AwsService = "es"
    client_cert: str | None = None
    client_key: str | None = None
    ca_certs: str | None = None
    verify_certs: bool = True


def client_options(url: str, access: Access) -> dict[str, Any]:
    """Return arguments of `opensearchpy.OpenSearch`, `hosts` among them.

    `url` is a node's, or those of several nodes with commas between; one of them may hold the account for all. Raises
    `ConfigurationError` for anything but http(s) URLs, for contradictions, and for files that can't be used.
    """
    nodes = [_node(part) for part in _NEXT_URL.split(url.strip())]
    account = _account([found for _, found in nodes if found], access)
    hosts = [host for host, _ in nodes]
    return {"hosts": hosts, **_identity(account, access), **_tls(access, secure=any(host["use_ssl"] for host in hosts))}


def _node(url: str) -> tuple[dict[str, Any], tuple[str, str | None] | None]:
    """Parse a URL; it is never repeated in a message, because it may hold a password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(
            "the OpenSearch URL can't be read.",
            remedy="Write it like http://localhost:9200 or https://user:password@host:9200; commas part several.",
        )
    secure = parts.scheme == "https"
    host = {"host": parts.hostname, "port": port or (443 if secure else 80), "use_ssl": secure}
    if parts.path.strip("/"):
        host["url_prefix"] = parts.path
    if not parts.username:
        return host, None
    return host, (unquote(parts.username), None if parts.password is None else unquote(parts.password))


def _account(in_urls: Sequence[tuple[str, str | None]], access: Access) -> tuple[str, str] | None:
    """Combine the account of the URLs with the given one, whose password is preferred."""
    users = {user for user, _ in in_urls} | ({access.user} if access.user else set())
    passwords = {password for _, password in in_urls if password is not None}
    if access.password is not None:
        passwords = {access.password}
    if len(users) > 1 or len(passwords) > 1:
        raise ConfigurationError(
            "there are several accounts for one cluster.",
            remedy="Give one user name and one password, in a URL or beside it; it is used for every node.",
        )
    if passwords and not users:
        raise ConfigurationError("there is a password without a user name.", remedy="Give the user name, too.")
    return (users.pop(), next(iter(passwords), "") or "") if users else None


def _identity(account: tuple[str, str] | None, access: Access) -> dict[str, Any]:
    given = {
        "a user name": account is not None,
        "a token": access.token is not None,
        "an AWS region": access.aws_region is not None,
    }
    if sum(given.values()) > 1:
        raise ConfigurationError(
            f"{' and '.join(name for name, there in given.items() if there)}: each of them says who asks.",
            remedy="Keep one of them.",
        )
    if access.token is not None:
        return {"headers": {"authorization": _authorization(access.token)}}
    if access.aws_region is not None:
        return {"http_auth": _signer(access.aws_region, access.aws_service)}
    if account is None:
        return {}
    # Not by http_auth: opensearch-py writes that in Latin-1, and OpenSearch reads UTF-8.
    basic = base64.b64encode(":".join(account).encode()).decode()
    return {"headers": {"authorization": f"Basic {basic}"}}


def _authorization(token: str) -> str:
    words = token.split()
    if not 1 <= len(words) <= 2 or not token.isascii() or not token.isprintable():
        raise ConfigurationError("the token is not one word.", remedy="Give it alone, or as `SCHEME TOKEN`.")
    return " ".join(words if len(words) == 2 else ["Bearer", *words])


def _signer(region: str, service: AwsService) -> Urllib3AWSV4SignerAuth:
    """Return a signer that signs each request as it is sent, with its rewritten body."""
    try:
        import botocore.session
    except ModuleNotFoundError:
        raise ConfigurationError(
            "botocore is not installed, which signs requests for AWS.", remedy="pip install 'rerank-sidecar[aws]'"
        ) from None
    credentials = botocore.session.Session().get_credentials()
    if credentials is None:
        raise ConfigurationError(
            "there are no AWS credentials.",
            remedy="Give them as to any AWS tool: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role.",
        )
    return Urllib3AWSV4SignerAuth(credentials, region, service)


def _tls(access: Access, *, secure: bool) -> dict[str, Any]:
    files = [name for name in (access.ca_certs, access.client_cert, access.client_key) if name is not None]
    if not secure:
        if files or not access.verify_certs:
            raise ConfigurationError(
                "the URL is an http one, and there are certificates or a choice not to verify them.",
                remedy="Write https, or leave them out.",
            )
        return {}
    if access.client_key is not None and access.client_cert is None:
        raise ConfigurationError("there is a client key without its certificate.", remedy="Give client_cert, too.")
    if files and not access.verify_certs:
        raise ConfigurationError(
            "certificates are given, and any certificate is to be believed.",
            remedy="Verify it, or leave them out: opensearch-py shows no client certificate to whom it does not know.",
        )
    _check(access)
    return {
        "verify_certs": access.verify_certs,
        "ca_certs": access.ca_certs,
        "client_cert": access.client_cert,
        "client_key": access.client_key,
        "ssl_show_warn": False,
    }


def _check(access: Access) -> None:
    """Read the files once, so that a wrong one is named now and not reported as a node that can't be reached."""
    context = ssl.create_default_context()
    name = access.ca_certs
    try:
        if access.ca_certs is not None:
            context.load_verify_locations(access.ca_certs)
        name = access.client_cert
        if access.client_cert is not None:
            # opensearch-py accepts no encrypted key; without a password here, OpenSSL would ask at the terminal.
            context.load_cert_chain(access.client_cert, access.client_key, password="")
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{name} can't be used: {error}.",
            remedy="Give PEM files that can be read, a client's key unencrypted.",
        ) from None
