"""Load stage two by its specification. Importing this loads neither torch nor an HTTP client."""

from __future__ import annotations

from sidecar.core.errors import ConfigurationError
from sidecar.core.listwise_spec import ListwiseSpec
from sidecar.core.model_spec import Remote
from sidecar.listwise.stage import Generator, ListwiseStage


def load_listwise(spec: ListwiseSpec | str, *, fail_open: bool = False) -> ListwiseStage:
    """Load a generator, or connect to the servers that have it; a name alone takes the defaults of `ListwiseSpec`.

    Raises ConfigurationError for an option that the generator does not have, a ModelError, or ScorerUnavailable if no
    server answers.
    """
    spec = ListwiseSpec(model=spec) if isinstance(spec, str) else spec
    return ListwiseStage(_generator(spec), spec, fail_open=fail_open)


def _generator(spec: ListwiseSpec) -> Generator:
    check_options(spec)
    if spec.is_remote:
        from sidecar.listwise.remote import GeneratorThread

        return GeneratorThread(spec)
    from sidecar.listwise.local import load_local

    return load_local(spec)


def check_options(spec: ListwiseSpec) -> None:
    """Raise ConfigurationError for options of a local generator beside a URL, and for the reverse."""
    local, remote = ("base_model", "device", "dtype", "quantization"), ("remote", "request")
    plain = ListwiseSpec(model=spec.model, remote=Remote(timeout=spec.remote.timeout))
    given = [name for name in (local if spec.is_remote else remote) if getattr(spec, name) != getattr(plain, name)]
    if given:
        where = f"on this machine takes it; {spec.model} is asked as it runs" if spec.is_remote else "at a URL takes it"
        raise ConfigurationError(f"{', '.join(given)}: only a generator {where}.", remedy="Leave it out.")
