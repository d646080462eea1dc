"""From the settings to the way into OpenSearch, for whoever goes in: the command line, or the service."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from connectors.opensearch.auth import Access
from sidecar.settings import Settings


def access(settings: Settings) -> Access:
    """The account and the certificates these settings name; nothing is read yet."""
    return Access(
        user=settings.opensearch_user,
        password=_revealed(settings.opensearch_password),
        token=_revealed(settings.opensearch_token),
        aws_region=settings.opensearch_aws_region,
        aws_service=settings.opensearch_aws_service,
        client_cert=_name(settings.opensearch_client_cert),
        client_key=_name(settings.opensearch_client_key),
        ca_certs=_name(settings.opensearch_ca_certs),
        verify_certs=settings.opensearch_verify_certs,
    )


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _name(path: Path | None) -> str | None:
    return None if path is None else str(path)
