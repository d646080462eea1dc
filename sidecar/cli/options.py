"""Command-line options out of the settings, so that flag, variable, type and help are declared once."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from sidecar.cli.effects import Condition, chosen_engine, refuse_idle
from sidecar.settings import Settings, load_settings, variable
from sidecar.settings.training import TrainingSettings

# Groups of settings that commands take together; the name is the panel they stand under in the help.
MODEL = (
    *("model", "base_model", "revision", "base_revision", "device", "dtype", "scoring_engine", "quantization"),
    *(
        "batch_invariant",
        "batch_size",
        "max_length",
        "compile",
        "long_passages",
        "chunk_tokens",
        "chunk_overlap",
        "max_chunks",
    ),
)
# What `read_topics` takes, for the help of an option.
TOPICS = "qid<TAB>text lines, JSON, TREC topics, a BEIR folder, or a name such as dl19-passage or irds:beir/nq"
FUSION = ("fusion", "normalization", "fusion_weight", "rank_constant", "fusion_arithmetic")
FIELDS = ("title_fields", "text_fields", "join_fields")
BM25 = ("k1", "b")
RM3 = ("rm3", "rm3_fb_terms", "rm3_fb_docs", "rm3_original_query_weight")
PYSERINI = ("pyserini_url", "pyserini_timeout")
OPENSEARCH = (
    "opensearch_user",
    "opensearch_client_cert",
    "opensearch_client_key",
    "opensearch_ca_certs",
    "opensearch_verify_certs",
    "opensearch_aws_region",
    "opensearch_aws_service",
    "opensearch_timeout",
    "opensearch_retries",
)
SERVICE = (
    "merged_adapters", "host", "port", "api_port", "tls_cert", "tls_key", "tls_client_ca", "pass_through", "budget_ms",
    "on_failure", "max_body_bytes", "max_body_values", "max_held_bytes", "api_seconds", "api_concurrent",
    "max_documents", "max_characters", "max_concurrent", "max_queue", "slice_seconds", "score_cache", "hang_seconds",
    "breaker_failures", "breaker_seconds", "drain_seconds", "body_seconds", "slow_client_seconds", "slow_client_rate",
    "upstream_connections", "upstream_share", "lend_account", "trusted_proxies", "allowed_hosts",
    "advertised_address",
)  # fmt: skip
# Of the training alone, so their flags go without the prefix of their names.
TRAINING = {name: "--" + name.removeprefix("train_").replace("_", "-") for name in TrainingSettings.model_fields}

PANELS = {
    "Model": (*MODEL, "score_file"),
    "Fusion": FUSION,
    "Documents": FIELDS,
    "BM25": BM25,
    "RM3": RM3,
    "Pyserini server": PYSERINI,
    "OpenSearch": ("opensearch_url", *OPENSEARCH),
    "Service": SERVICE,
    "Training": tuple(TRAINING),
}


def takes(
    *names: str, conditions: Sequence[Condition] = (), **flags: str | tuple[str, ...]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of these settings; its `settings` parameter receives the loaded `Settings`.

    A name becomes the flag `--name-with-dashes`; a keyword argument gives another flag, or several:
    `opensearch_url="--url"`. An option that was typed and has no effect by the `conditions` is refused. The command's
    own `engine` may be left out, and is chosen by what is set.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        wanted = {**{name: "--" + name.replace("_", "-") for name in names}, **flags}
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.name not in {"settings", "context"}]
        own = [_left_out(p) if p.name == "engine" else p for p in own]
        options = [_option(name, flag) for name, flag in wanted.items()]
        shows_context = {"context"} & set(signature.parameters)

        @functools.wraps(command)
        def run(context: typer.Context, **arguments: Any) -> None:
            settings = load_settings({name: arguments.pop(name) for name in wanted})
            if "engine" in arguments:
                arguments["engine"] = chosen_engine(arguments["engine"], settings)
            refuse_idle(_typed(context), settings, conditions, arguments)
            command(**arguments, **dict.fromkeys(shows_context, context), settings=settings)

        parameters = [_CONTEXT, *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own), *options]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def _left_out(parameter: inspect.Parameter) -> inspect.Parameter:
    """Make a parameter of a command one that need not be given."""
    kind, *options = get_args(parameter.annotation)
    return parameter.replace(annotation=Annotated[kind | None, *options], default=None)


_CONTEXT = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)


def _typed(context: typer.Context) -> dict[str, str]:
    """The parameters that were given on the command line, each with its flag."""
    sources = {one.name: context.get_parameter_source(one.name) for one in context.command.params if one.name}
    flags = {one.name: one.opts[0] for one in context.command.params}
    return {name: flags[name] for name, source in sources.items() if source and source.name == "COMMANDLINE"}


def _option(name: str, flags: str | tuple[str, ...]) -> inspect.Parameter:
    field = Settings.model_fields[name]
    kind = _flag_type(field)
    given = (flags,) if isinstance(flags, str) else flags
    declared = [f"{flag}/--no-{flag.removeprefix('--')}" if kind is bool else flag for flag in given]
    shown = describe_default(field)
    help_text = f"{field.description} [dim]({variable(name)}; default: {shown})[/]"
    panel = next((panel for panel, members in PANELS.items() if name in members), None)
    option = typer.Option(*declared, help=help_text, show_default=False, rich_help_panel=panel)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def describe_default(field: FieldInfo) -> str:
    """The default of a setting as one would type it."""
    value = field.default
    if value in (None, (), [], {}):
        return "unset"
    if isinstance(value, Enum):
        return str(value.value)
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _flag_type(field: FieldInfo) -> Any:
    """The type typer should parse: the field's own without None; tuples and secrets are typed as text."""
    annotation: Any = field.annotation
    if get_origin(annotation) in {types.UnionType, Union}:
        annotation = next(kind for kind in get_args(annotation) if kind is not type(None))
    if get_origin(annotation) is tuple:
        return str
    if get_origin(annotation) is Literal:
        return Enum("Choice", {value: value for value in get_args(annotation)}, type=str)
    return annotation
