"""`sidecar install-pipeline`: make OpenSearch's own `rerank` processor call the sidecar."""

from __future__ import annotations

from typing import Annotated

import typer

from sidecar.cli.app import command
from sidecar.cli.effects import Condition
from sidecar.cli.factories import build_opensearch_client
from sidecar.cli.options import OPENSEARCH, takes
from sidecar.cli.progress import working
from sidecar.cli.terminal import say
from sidecar.core.errors import ConfigurationError
from sidecar.settings import Settings

NAME = "rerank-sidecar"


CONDITIONS = (
    Condition(
        ("sidecar_url", "document_fields", "model", "seconds"),
        lambda mode: not mode.undo,
        "--undo finds by --name what it removes",
    ),
)


@command(
    "install-pipeline",
    example="sidecar install-pipeline --url http://localhost:9200 --sidecar-url http://sidecar.internal:9281",
)
@takes(*OPENSEARCH, conditions=CONDITIONS, opensearch_url="--url")
def install_command(
    sidecar_url: Annotated[
        str | None,
        typer.Option(help="URL of the rerank API, as the nodes of OpenSearch reach it."),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the search pipeline, of its model and of its connector.")] = NAME,
    index: Annotated[
        str | None,
        typer.Option(help="Index to test the pipeline on. With --undo: index whose default pipeline is reset."),
    ] = None,
    document_fields: Annotated[
        str,
        typer.Option(
            help="Fields whose text is sent, with commas between; OpenSearch joins the texts without a space."
        ),
    ] = "title,text",
    model: Annotated[str | None, typer.Option(help="Model to score with; the sidecar must declare it.")] = None,
    seconds: Annotated[int, typer.Option(min=1, max=3600, help="Seconds that OpenSearch waits for the sidecar.")] = 30,
    *,
    default: Annotated[
        bool,
        typer.Option(
            "--default",
            help="Make it the default pipeline of the index; searches without ext.rerank then fail with 500.",
        ),
    ] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Remove the pipeline, model and connector of this name.")
    ] = False,
    allow: Annotated[
        bool,
        typer.Option(
            "--allow", help="Change cluster settings that prevent the installation; --undo does not change them back."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and change nothing.")] = False,
    settings: Settings,
) -> None:
    """Install a search pipeline in OpenSearch whose rerank processor calls the sidecar.

    It creates a connector, a model and the pipeline. SIDECAR_API_KEY is the key of the rerank API; the cluster stores
    it with the connector.
    """
    from connectors.opensearch.admin.install_pipeline import Installation
    from connectors.opensearch.admin.ml_commons import MlCommons, Pretending
    from connectors.opensearch.admin.pipeline_bodies import Wanted, dotted, split_fields
    from connectors.opensearch.admin.pipeline_trial import try_out

    if default and (index is None or undo):
        raise ConfigurationError(
            "--default sets the default of an index.", remedy="Name it with --index, without --undo."
        )
    ml = (Pretending if dry_run else MlCommons)(build_opensearch_client(settings))
    installation = Installation(ml, typer.echo, allow=allow)
    if dry_run:
        say("dry run: nothing is changed")
    if undo:
        with working("removing the pipeline"):
            installation.undo(name, index or "_all")
        return
    if sidecar_url is None:
        raise ConfigurationError(
            "the URL of the sidecar is missing.",
            remedy="Give --sidecar-url, as the nodes of OpenSearch reach it: http://host:9281.",
        )
    key = settings.api_key.get_secret_value() if settings.api_key else None
    wanted = Wanted(name, sidecar_url, split_fields(document_fields), model, key, seconds)
    if unread := dotted(wanted.fields):
        say(f"warning: OpenSearch does not read dotted paths, so it will send no text for {', '.join(unread)}")
    with working("installing the pipeline"):
        installation.install(wanted)
    if index is None or dry_run:
        return
    with working("testing the pipeline"):
        for line in try_out(ml, index, name, wanted.fields):
            typer.echo(line)
    if default:
        installation.make_default(index, name)
