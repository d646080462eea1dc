"""Command-line options made from the settings, so that flag, variable, type and help are declared once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from sidecar.cli.effects import Condition, chosen_engine, refuse_idle
from sidecar.cli.setting_sections import SECTIONS, choices_of, describe_default, kind_of, range_of, section_of
from sidecar.settings import Settings, load_settings, variable

# Groups of settings that commands take together.
REMOTE = tuple(name for name in SECTIONS["Remote scorer"] if name != "remote_api_key")
# How a remote scorer or generator is asked, which changes no score and no order.
ASKING = {"remote_timeout", "remote_batch", "remote_concurrency", "listwise_timeout", "listwise_concurrency"}
MODEL = (*(name for name in SECTIONS["Model"] if name != "score_file"), *REMOTE)
FUSION, FIELDS, BM25, RM3 = SECTIONS["Fusion"], SECTIONS["Documents"], SECTIONS["BM25"], SECTIONS["RM3"]
PYSERINI = tuple(name for name in SECTIONS["Pyserini server"] if name != "pyserini_api_key")
# Passwords, tokens and keys have no flag: every user of a machine can read the command lines of its processes.
_SECRET = {"opensearch_password", "opensearch_token", "api_key", "client_keys", "remote_api_key", "listwise_api_key"}
# Tables, lists, and what is set once for a service.
_IN_FILE = {
    *("models", "rules", "shadow_file", "shadow_queries", "pass_headers"),
    *("model_aliases", "lucene_indexes", "cors_origins", "model_devices", "listwise_request"),
}
LISTWISE = tuple(name for name in SECTIONS["Stage two"] if name not in _SECRET | _IN_FILE)
OPENSEARCH = tuple(name for name in SECTIONS["OpenSearch"] if name not in _SECRET | {"opensearch_url"})
SERVICE = tuple(
    name
    for section in ("Service", "Limits of the service", "Rerank API")
    for name in SECTIONS[section]
    if name not in _SECRET | _IN_FILE
)
# What `read_topics` takes, for the help of an option.
TOPICS = "qid<TAB>text lines, JSON, TREC topics, a BEIR folder, or a name such as dl19-passage or irds:beir/nq"
# Only `sidecar train` takes them, so their flags leave out the prefix of their names.
TRAINING = {name: "--" + name.removeprefix("train_").replace("_", "-") for name in SECTIONS["Training"]}


def takes(
    *names: str, conditions: Sequence[Condition] = (), **flags: str | tuple[str, ...]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of these settings; its `settings` parameter receives the loaded `Settings`.

    A name becomes the flag `--name-with-dashes`; a keyword argument gives another flag, or several:
    `opensearch_url="--url"`. An option on the command line that has no effect by the `conditions` is refused. The
    command's own `engine` may be left out, and is chosen by what is set. `takes` of the decorated command holds the
    flags by the names of their settings.
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
        run.takes = wanted  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def _left_out(parameter: inspect.Parameter) -> inspect.Parameter:
    """Make a parameter of a command optional."""
    kind, *options = get_args(parameter.annotation)
    return parameter.replace(annotation=Annotated[kind | None, *options], default=None)


_CONTEXT = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)


def _typed(context: typer.Context) -> dict[str, str]:
    """Return the parameters on the command line, each with its flag."""
    sources = {one.name: context.get_parameter_source(one.name) for one in context.command.params if one.name}
    flags = {one.name: one.opts[0] for one in context.command.params}
    return {name: flags[name] for name, source in sources.items() if source and source.name == "COMMANDLINE"}


def _option(name: str, flags: str | tuple[str, ...]) -> inspect.Parameter:
    field = Settings.model_fields[name]
    kind = _flag_type(field)
    given = (flags,) if isinstance(flags, str) else flags
    declared = [f"{flag}/--no-{flag.removeprefix('--')}" if kind is bool else flag for flag in given]
    # `window` is what most people change, so it stands among the options of the command.
    panel = section if (section := section_of(name)) != "Search" else None
    option = typer.Option(
        *declared, help=setting_help(name), show_default=False, show_choices=False, rich_help_panel=panel
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def setting_help(name: str) -> str:
    """Return the help of a setting's flag: its meaning, its allowed values, its variable and its default."""
    field = Settings.model_fields[name]
    choices, span = ", ".join(choices_of(field)), range_of(field)
    values = f" One of {choices}." if choices else f" {span[:1].upper()}{span[1:]}." if span else ""
    return f"{field.description}{values} ({variable(name)}; default: {describe_default(field)})"


def _flag_type(field: FieldInfo) -> Any:
    """Return the type that typer should parse: the field's own without None; tuples are typed as text."""
    kind = kind_of(field)
    if get_origin(kind) is tuple:
        return str
    if get_origin(kind) is Literal:
        return Enum("Choice", {value: value for value in get_args(kind)}, type=str)
    return kind
