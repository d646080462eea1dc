"""Every knob, declared once; the only reader of `SIDECAR_*` variables and of `sidecar.toml`.

Order of precedence: command-line flags, environment variables, the TOML file, the defaults below. The command line
takes names, types and help from here (`sidecar.cli.options`).
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_serializer, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from sidecar.core.documents import PassageFields
from sidecar.core.errors import ConfigurationError
from sidecar.core.fusion import Arithmetic, Fusion, Method, Normalization
from sidecar.core.model_spec import Chunking, ModelSpec
from sidecar.settings.service import ServiceSettings
from sidecar.settings.service_links import service_links
from sidecar.settings.training import TrainingSettings

PREFIX = "SIDECAR_"
FILE_VARIABLE = "SIDECAR_CONFIG"
DEFAULT_FILE = Path("sidecar.toml")

Fields = Annotated[tuple[str, ...], NoDecode]


class Settings(ServiceSettings, TrainingSettings, BaseSettings):
    """The settings of one process; build them with `load_settings`, which names what is wrong."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, env_ignore_empty=True)

    model: str = Field(
        "minilm-reranker", description="Reranker: a preset, a directory (adapter or full model) or a hub name."
    )
    base_model: str | None = Field(None, description="Base model of an adapter; by default the one it names.")
    revision: str | None = Field(None, description="Revision of the model on the hub.")
    base_revision: str | None = Field(None, description="Revision of the base model on the hub.")
    device: str = Field("auto", description="Where to score: auto, cpu, cuda, cuda:1, mps.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="Precision; auto: float32 on a CPU (encoders in bfloat16 where that is as good and faster), on a "
        "GPU bfloat16 if it has it, or float16.",
    )
    batch_size: int = Field(128, ge=1, le=4096, description="Pairs in one forward pass, at most.")
    max_length: int | None = Field(None, ge=8, le=131072, description="Tokens of a pair; by default the model's own.")
    scoring_engine: Literal["auto", "packed", "transformers", "openvino", "card"] = Field(
        "auto", description="What computes the scores; auto: the fastest that is exact. card: the model card's helper."
    )
    batch_invariant: bool = Field(
        False, description="The same score to the last bit, whatever else is scored with a pair; slower."
    )
    compile: bool | None = Field(
        None,
        description="Compile the model with torch.compile: slower start, faster scoring; unset: the service does it in "
        "the background for a Llama on a GPU.",
    )

    quantization: Literal["none", "8bit", "4bit"] = Field(
        "none", description="Weights in 8 or 4 bits, through bitsandbytes; the score head never."
    )
    long_passages: Literal["cut", "chunk"] = Field(
        "cut",
        description="What becomes of passages longer than the model reads; chunk: the best of their chunks counts.",
    )
    chunk_tokens: int | None = Field(
        None, ge=8, le=131072, description="Tokens of text in a chunk; by default what fits beside query and title."
    )
    chunk_overlap: int = Field(32, ge=0, le=4096, description="Tokens that a chunk shares with the one before.")
    max_chunks: int = Field(16, ge=1, le=1024, description="Chunks of one passage, at most; what follows is not read.")
    score_file: Path | None = Field(
        None, description="File that keeps scores from run to run: another fusion or window then costs no scoring."
    )

    window: int = Field(100, ge=1, le=10_000, description="First-stage hits to rerank, whatever the page asked for.")
    fusion: Method = Field(Method.RERANK, description="How model and first-stage scores become one.")
    normalization: Normalization = Field(Normalization.MIN_MAX, description="Scale of the scores before a mean.")
    fusion_weight: float | None = Field(
        None,
        ge=0,
        le=1,
        description="The model's share; the first stage has the rest. Unset: 0.9 for linear, else equal shares.",
    )
    rank_constant: int = Field(60, ge=1, le=10_000, description="The k of reciprocal rank fusion.")
    fusion_arithmetic: Arithmetic = Field(
        Arithmetic.EXACT, description="exact, or opensearch to repeat its processors with their clamps."
    )

    title_fields: Fields = Field(
        PassageFields().title, description="Document fields that may hold the title, first found wins."
    )
    text_fields: Fields = Field(
        PassageFields().text,
        description="Document fields that may hold the passage, first found wins.",
    )
    join_fields: str | None = Field(
        None, description="Join all text fields that hold text, with this between them; unset: the first alone."
    )

    k1: float = Field(0.9, ge=0, le=100, description="BM25's k1: of a Lucene search, or of a new OpenSearch index.")
    b: float = Field(0.4, ge=0, le=1, description="BM25's b, likewise.")

    rm3: bool = Field(False, description="Widen a query of a Lucene index by RM3, pseudo-relevance feedback.")
    rm3_fb_terms: int = Field(10, ge=1, le=1000, description="Words that RM3 adds.")
    rm3_fb_docs: int = Field(10, ge=1, le=1000, description="Hits that RM3 takes its words from.")
    rm3_original_query_weight: float = Field(0.5, ge=0, le=1, description="The query's own share under RM3.")

    pyserini_url: str | None = Field(
        None, description="Pyserini REST server that has the Lucene index; unset: the index is local.", repr=False
    )
    pyserini_api_key: SecretStr | None = Field(None, description="One of the Pyserini server's keys.")
    pyserini_timeout: float = Field(30.0, gt=0, le=600, description="Seconds to wait for the Pyserini server.")

    opensearch_url: str = Field(
        "http://localhost:9200", description="OpenSearch node, or several with commas between.", repr=False
    )
    opensearch_user: str | None = Field(None, description="User name for basic authentication.")
    opensearch_password: SecretStr | None = Field(None, description="Password for basic authentication.")
    opensearch_token: SecretStr | None = Field(
        None, description="Token for `Authorization: Bearer …`; `ApiKey …` names another scheme."
    )
    opensearch_client_cert: Path | None = Field(None, description="PEM file of a client certificate.")
    opensearch_client_key: Path | None = Field(None, description="PEM file of its key, if that is a file of its own.")
    opensearch_ca_certs: Path | None = Field(None, description="CA bundle that signs OpenSearch's certificate.")
    opensearch_verify_certs: bool = Field(True, description="Whether to verify OpenSearch's certificate.")
    opensearch_aws_region: str | None = Field(
        None, description="AWS region to sign requests for, with the credentials that AWS tools find."
    )
    opensearch_aws_service: Literal["es", "aoss"] = Field(
        "es", description="AWS service to sign requests for: es is a domain, aoss is serverless."
    )
    opensearch_timeout: float = Field(30.0, gt=0, le=600, description="Seconds to wait for OpenSearch.")
    opensearch_retries: int = Field(
        3, ge=0, le=10, description="Times a read is sent again, to the next node, where one is busy or gone."
    )

    @field_validator("title_fields", "text_fields", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        """Flags and variables give `title,body.text`; TOML gives a list."""
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_serializer("opensearch_url", "pyserini_url")
    def _hide_password(self, url: str | None) -> str | None:
        """A URL may hold a password; what is shown or written never does."""
        return None if url is None else re.sub(r"//(?:(?!,\s*https?://).)*@", "//***@", url)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic-settings passes it by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic-settings passes it by name
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags and the TOML file are merged by `load_settings`; variables stand between them."""
        if isinstance(env_settings, EnvSettingsSource):
            links = {name.lower() for name in ignored_variables()}  # the source's own names are in lower case
            env_settings.env_vars = {n: value for n, value in env_settings.env_vars.items() if n not in links}
        return (init_settings, env_settings, _FileSource(settings_cls))

    def as_fusion(self) -> Fusion:
        """The fusion these settings describe. Raises `FusionError` where it is unsound."""
        return Fusion(self.fusion, self.normalization, self.fusion_weight, self.rank_constant, self.fusion_arithmetic)

    def as_model(self) -> ModelSpec:
        """The model these settings name. Raises `ConfigurationError` for chunks that would not advance."""
        return ModelSpec(
            model=self.model,
            base_model=self.base_model,
            revision=self.revision,
            base_revision=self.base_revision,
            device=self.device,
            dtype=self.dtype,
            batch_size=self.batch_size,
            max_length=self.max_length,
            quantization=self.quantization,
            engine=self.scoring_engine,
            invariant=self.batch_invariant,
            # Before anything is scored: compiled later, the same command would not give the same bytes.
            compile="before" if self.compile else "never",
            chunking=None if self.long_passages == "cut" else self._chunking(),
        )

    def _chunking(self) -> Chunking:
        return Chunking(self.chunk_tokens, self.chunk_overlap, self.max_chunks)

    def as_fields(self) -> PassageFields:
        """Where a document's title and text are."""
        return PassageFields(self.title_fields, self.text_fields, self.join_fields)


class _FileSource(PydanticBaseSettingsSource):
    """The TOML file: the lowest source above the defaults."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        del field
        return self().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return _read_file()


def load_settings(flags: Mapping[str, Any] | None = None) -> Settings:
    """Settings from flags over variables over the TOML file over defaults.

    A flag that is None was not given. The file is `sidecar.toml` in the working directory, or the one that
    `SIDECAR_CONFIG` names. Raises `ConfigurationError` for an unknown key or variable, naming the nearest known one,
    and for a value out of range.
    """
    _refuse_unknown_variables(os.environ)
    try:
        return Settings(**{name: value for name, value in (flags or {}).items() if value is not None})
    except ValidationError as error:
        raise ConfigurationError("\n".join(_explain(error)), remedy="See `sidecar settings`.") from None
    except SettingsError as error:
        named = re.search(r'field "(\w+)"', str(error))
        name = variable(named[1]) if named else "A variable"
        why = error.__cause__ or error
        raise ConfigurationError(
            f"{name} is no valid JSON: {why}.", remedy="docs/settings.md has an example."
        ) from None


def variable(name: str) -> str:
    """Name of the environment variable of a setting."""
    return PREFIX + name.upper()


def ignored_variables() -> list[str]:
    """Names of the `SIDECAR_*` variables that Kubernetes set, not the operator (`sidecar.settings.service_links`)."""
    return service_links(os.environ, PREFIX)


def _refuse_unknown_variables(environ: Mapping[str, str]) -> None:
    # pydantic-settings ignores unknown variables even where extra keys are forbidden.
    known = [variable(name) for name in Settings.model_fields] + [FILE_VARIABLE]
    for name in sorted(environ.keys() - set(ignored_variables())):
        if name.upper().startswith(PREFIX) and name.upper() not in known and not name.startswith("SIDECAR_TEST_"):
            raise ConfigurationError(
                f"{name} is no setting{nearest(name.upper(), known)}", remedy="See `sidecar settings`."
            )


def _read_file() -> dict[str, Any]:
    named = os.environ.get(FILE_VARIABLE)
    path = Path(named) if named else DEFAULT_FILE
    if not path.is_file():
        if named:
            raise ConfigurationError(f"{path} does not exist.", remedy=f"{FILE_VARIABLE} names it.")
        return {}
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no valid TOML: {error}.") from None
    for name in values:
        if name not in Settings.model_fields:
            raise ConfigurationError(f"{path}: {name} is no setting{nearest(name, Settings.model_fields)}")
    return values


def nearest(name: str, known: Iterable[str]) -> str:
    """End a complaint about `name`: with ", did you mean X?" for the closest known name, or with a full stop."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f", did you mean {close[0]}?" if close else "."


def _explain(error: ValidationError) -> Iterable[str]:
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(str(part) for part in problem["loc"]) or "settings"
        unknown = nearest(name, Settings.model_fields) if problem["type"] == "extra_forbidden" else ""
        yield f"{name}: {problem['msg'][:1].lower()}{problem['msg'][1:]}{unknown}"
