"""Every setting, declared once; the only reader of `SIDECAR_*` variables and of `sidecar.toml`.

Order of precedence: command-line flags, environment variables, the TOML file, the defaults below. The command line
takes names, types and help from here (`sidecar.cli.options`).
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
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
from sidecar.core.listwise_spec import ListwiseSpec
from sidecar.settings.agents import AgentSettings
from sidecar.settings.listwise import ListwiseSettings
from sidecar.settings.mistakes import messages, nearest
from sidecar.settings.model import ModelSettings
from sidecar.settings.service import ServiceSettings
from sidecar.settings.service_links import service_links
from sidecar.settings.training import TrainingSettings

PREFIX = "SIDECAR_"
FILE_VARIABLE = "SIDECAR_CONFIG"
DEFAULT_FILE = Path("sidecar.toml")

Fields = Annotated[tuple[str, ...], NoDecode]


class Settings(ModelSettings, ListwiseSettings, ServiceSettings, AgentSettings, TrainingSettings, BaseSettings):
    """The settings of one process; build them with `load_settings`, which names what is wrong."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, env_ignore_empty=True)

    window: int = Field(
        100, ge=1, le=10_000, description="Number of first-stage hits to rerank, whatever page is requested."
    )
    min_relevance: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Probability of relevance below which a reranked hit is left out; needs a calibrated model. 0 or "
        "unset: none.",
    )
    fusion: Method | None = Field(
        None,
        description="How to combine the scores of the model and of the first stage. rerank: the model alone. Unset: as "
        "the model's sidecar.json says.",
    )
    normalization: Normalization = Field(
        Normalization.MIN_MAX,
        description="How to normalise the scores before --fusion linear, adaptive, geometric or harmonic.",
    )
    fusion_weight: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Weight of the model; the first stage has the rest. Unset: 0.9 for linear, otherwise 0.5.",
    )
    rank_constant: int = Field(60, ge=1, le=10_000, description="Constant k of reciprocal rank fusion.")
    fusion_arithmetic: Arithmetic = Field(
        Arithmetic.EXACT,
        description="Arithmetic of the fusion. opensearch: that of its processors, with their lower bounds.",
    )

    title_fields: Fields = Field(
        PassageFields().title, description="Document fields that may hold the title; the first that is found is used."
    )
    text_fields: Fields = Field(
        PassageFields().text, description="Document fields that may hold the text; the first that is found is used."
    )
    join_fields: str | None = Field(
        None, description="Join all text fields with this text between them. Unset: use the first that is found."
    )

    k1: float = Field(0.9, ge=0, le=100, description="k1 of BM25, to search with Lucene or for a new OpenSearch index.")
    b: float = Field(0.4, ge=0, le=1, description="b of BM25, to search with Lucene or for a new OpenSearch index.")

    rm3: bool = Field(False, description="Expand queries of a Lucene index by RM3, a pseudo-relevance feedback.")
    rm3_fb_terms: int = Field(10, ge=1, le=1000, description="Number of terms that RM3 adds.")
    rm3_fb_docs: int = Field(10, ge=1, le=1000, description="Number of hits that RM3 takes its terms from.")
    rm3_original_query_weight: float = Field(0.5, ge=0, le=1, description="Weight of the original query in RM3.")

    pyserini_url: str | None = Field(
        None,
        description="URL of the Pyserini REST server of the index. Unset: the index is local.",
        repr=False,
    )
    pyserini_api_key: SecretStr | None = Field(None, description="API key of the Pyserini server.")
    pyserini_timeout: float = Field(30.0, gt=0, le=600, description="Seconds to wait for the Pyserini server.")

    opensearch_url: str = Field(
        "http://localhost:9200", description="URL of OpenSearch, or of several nodes with commas between.", repr=False
    )
    opensearch_user: str | None = Field(None, description="User name for basic authentication.")
    opensearch_password: SecretStr | None = Field(None, description="Password for basic authentication.")
    opensearch_token: SecretStr | None = Field(
        None, description="Token that is sent as `Authorization: Bearer TOKEN`; `ApiKey TOKEN` uses that scheme."
    )
    opensearch_client_cert: Path | None = Field(None, description="PEM file of a client certificate.")
    opensearch_client_key: Path | None = Field(None, description="PEM file of its key, if it is a separate file.")
    opensearch_ca_certs: Path | None = Field(None, description="CA bundle that verifies the certificate of OpenSearch.")
    opensearch_verify_certs: bool = Field(True, description="Verify the certificate of OpenSearch.")
    opensearch_aws_region: str | None = Field(
        None, description="Region to sign requests to AWS for, with the credentials of the AWS tools."
    )
    opensearch_aws_service: Literal["es", "aoss"] = Field(
        "es", description="Service to sign requests to AWS for. es: a domain. aoss: OpenSearch Serverless."
    )
    opensearch_timeout: float = Field(30.0, gt=0, le=600, description="Seconds to wait for OpenSearch.")
    opensearch_retries: int = Field(
        3,
        ge=0,
        le=10,
        description="Times that a read is sent again if a node is busy or gone.",
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

    def as_fusion(self) -> Fusion | None:
        """The fusion these settings ask for, None for the model's own. Raises `FusionError` where it is unsound."""
        if self.fusion is None:
            return None
        return Fusion(self.fusion, self.normalization, self.fusion_weight, self.rank_constant, self.fusion_arithmetic)

    def as_stage_two(self) -> ListwiseSpec | None:
        """The generator of stage two; None if there is none. A local one runs on the model's device."""
        return self.as_listwise(device=self.device, dtype=self.dtype, quantization=self.quantization)

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
        raise ConfigurationError(
            "\n".join(messages(error, Settings.model_fields)), remedy="See `sidecar settings`."
        ) from None
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
