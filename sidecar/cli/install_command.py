"""`sidecar install-pipeline`: OpenSearch's own `rerank` processor, calling the sidecar."""

from __future__ import annotations

from typing import Annotated

import typer

from sidecar.cli.app import app
from sidecar.cli.effects import Condition
from sidecar.cli.factories import build_opensearch_client, say
from sidecar.cli.options import OPENSEARCH, takes
from sidecar.core.errors import ConfigurationError
from sidecar.settings import Settings

NAME = "rerank-sidecar"


CONDITIONS = (
    Condition(
        ("sidecar_url", "document_fields", "model", "seconds"),
        lambda mode: not mode.undo,
        "--undo finds by the name what it removes",
    ),
)


@app.command("install-pipeline")
@takes(*OPENSEARCH, conditions=CONDITIONS, opensearch_url="--url")
def install_command(
    sidecar_url: Annotated[
        str | None,
        typer.Option(help="The rerank API as OpenSearch's nodes reach it, like http://sidecar.internal:9281."),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the search pipeline, its model and its connector.")] = NAME,
    index: Annotated[
        str | None,
        typer.Option(help="Index to try the pipeline out on; with --undo, where to look for defaults to take back."),
    ] = None,
    document_fields: Annotated[
        str, typer.Option(help="Fields whose text is sent, with commas between; OpenSearch joins them without a space.")
    ] = "title,text",
    model: Annotated[str | None, typer.Option(help="Model to ask for, one that the sidecar declares.")] = None,
    seconds: Annotated[int, typer.Option(min=1, max=3600, help="How long OpenSearch waits for the sidecar.")] = 30,
    *,
    default: Annotated[
        bool,
        typer.Option("--default", help="Make it the index's default; searches without ext.rerank then fail with 500."),
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Remove what was made under this name.")] = False,
    allow: Annotated[
        bool, typer.Option("--allow", help="Change settings of the cluster that are in the way; --undo leaves them.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")] = False,
    settings: Settings,
) -> None:
    """Have OpenSearch's own rerank processor call the sidecar: make connector, model and search pipeline.

    SIDECAR_API_KEY is the key that the sidecar asks for; the cluster keeps it with the connector.
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
        say("a dry run: nothing is changed")
    if undo:
        installation.undo(name, index or "_all")
        return
    if sidecar_url is None:
        raise ConfigurationError(
            "where is the sidecar?", remedy="Give --sidecar-url, as OpenSearch's nodes reach it: http://host:9281."
        )
    key = settings.api_key.get_secret_value() if settings.api_key else None
    wanted = Wanted(name, sidecar_url, split_fields(document_fields), model, key, seconds)
    if unread := dotted(wanted.fields):
        say(f"warning: OpenSearch reads no dotted path, so {', '.join(unread)} will be sent empty")
    installation.install(wanted)
    if index is None or dry_run:
        return
    for line in try_out(ml, index, name, wanted.fields):
        typer.echo(line)
    if default:
        installation.make_default(index, name)
