"""Where a setting comes from, and what is said of one that is wrong."""

from __future__ import annotations

import pytest

from sidecar.core.errors import ConfigurationError, FusionError
from sidecar.core.fusion import Fusion, Method
from sidecar.settings import Settings, ignored_variables, load_settings, variable


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)
    monkeypatch.delenv("SIDECAR_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)


def test_flags_over_variables_over_file_over_defaults(monkeypatch, tmp_path):
    (tmp_path / "sidecar.toml").write_text('window = 20\nbatch_size = 20\nmodel = "dear-3b"\n')
    monkeypatch.setenv("SIDECAR_WINDOW", "30")
    monkeypatch.setenv("SIDECAR_BATCH_SIZE", "30")
    settings = load_settings({"window": 40, "k1": None})
    assert (settings.window, settings.batch_size, settings.model, settings.k1) == (40, 30, "dear-3b", 0.9)


def test_the_file_may_lie_elsewhere(monkeypatch, tmp_path):
    # Some editors begin a file with a byte order mark.
    (tmp_path / "other.toml").write_text('text_fields = ["body.text", "abstract"]\n', encoding="utf-8-sig")
    monkeypatch.setenv("SIDECAR_CONFIG", str(tmp_path / "other.toml"))
    assert load_settings().text_fields == ("body.text", "abstract")


def test_fields_are_a_comma_list_on_the_command_line_and_in_variables(monkeypatch):
    monkeypatch.setenv("SIDECAR_TITLE_FIELDS", "headline, title")
    settings = load_settings({"text_fields": "body"})
    assert (settings.title_fields, settings.text_fields) == (("headline", "title"), ("body",))


@pytest.mark.parametrize(
    ("variable_name", "value", "message"),
    [
        ("SIDECAR_WINDW", "5", "SIDECAR_WINDW is no setting, did you mean SIDECAR_WINDOW"),
        ("SIDECAR_WINDOW", "0", "window: input should be greater than or equal to 1"),
        ("SIDECAR_WINDOW", "many", "window: input should be a valid integer"),
        ("SIDECAR_FUSION", "best", "fusion: input should be 'rerank', 'linear'"),
        ("SIDECAR_CONFIG", "nowhere.toml", "nowhere.toml does not exist"),
        ("SIDECAR_RULES", "[{bad", "SIDECAR_RULES is no valid JSON: Expecting property name"),
        ("SIDECAR_RULES", '{"index": "x"}', "rules: input should be a valid list"),
        ("SIDECAR_MODELS", "minilm", "SIDECAR_MODELS is no valid JSON: Expecting value"),
        ("SIDECAR_MODEL_ALIASES", '{"a": }', "SIDECAR_MODEL_ALIASES is no valid JSON"),
        ("SIDECAR_LUCENE_INDEXES", "{'a': 'b'}", "SIDECAR_LUCENE_INDEXES is no valid JSON"),
        ("SIDECAR_TRUSTED_PROXIES", "10.0.0.1,ingress", "trusted_proxies: 'ingress' is no address or network"),
        ("SIDECAR_TRUSTED_PROXIES", "10.0.0.1/8", r"such as 10.0.0.7 or 10.0.0.0/8 \(10.0.0.1/8 has host bits set\)"),
        ("SIDECAR_ALLOWED_HOSTS", "https://a.example", "allowed_hosts: 'https://a.example' is no host name"),
        ("SIDECAR_ALLOWED_HOSTS", "*.example", "allowed_hosts: '\\*.example' is no host name"),
        ("SIDECAR_CORS_ORIGINS", "https://a.example/", "cors_origins: 'https://a.example/' is no origin of web pages"),
        ("SIDECAR_CORS_ORIGINS", "a.example", "cors_origins: 'a.example' is no origin of web pages"),
        ("SIDECAR_CORS_ORIGINS", "https://*.example", r"cors_origins: 'https://\*.example' is no origin of web pages"),
        ("SIDECAR_CORS_ORIGINS", "https://a.example:443", "they leave out the port 443"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch, variable_name, value, message):
    monkeypatch.setenv(variable_name, value)
    with pytest.raises(ConfigurationError, match=message):
        load_settings()


def test_hosts_and_origins_are_compared_as_requests_name_them():
    settings = load_settings(
        {
            "trusted_proxies": "10.0.0.0/8,::1",
            "allowed_hosts": "Search.Example,search.example:9280,[::1]",
            "cors_origins": "https://App.Example,http://localhost:3000,app://abc,*",
        }
    )
    assert settings.trusted_proxies == ("10.0.0.0/8", "::1")
    assert settings.allowed_hosts == ("search.example", "search.example:9280", "[::1]")
    assert settings.cors_origins == ("https://app.example", "http://localhost:3000", "app://abc", "*")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("windw = 5", "windw is no setting, did you mean window"),
        ("window = ", "no valid TOML"),
        ("window = 'x'", "window: input should be a valid integer"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, text, message):
    (tmp_path / "sidecar.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        load_settings()


def test_a_password_is_never_shown(monkeypatch):
    monkeypatch.setenv("SIDECAR_OPENSEARCH_PASSWORD", "hunter2")
    monkeypatch.setenv("SIDECAR_OPENSEARCH_URL", "https://me:p@hunter3@search.example:9200/path")
    settings = load_settings()
    assert "hunter" not in repr(settings) + settings.model_dump_json()
    assert settings.model_dump()["opensearch_url"] == "https://***@search.example:9200/path"
    assert settings.opensearch_url == "https://me:p@hunter3@search.example:9200/path"
    assert settings.opensearch_password.get_secret_value() == "hunter2"


def test_fusion_is_built_from_the_settings():
    assert load_settings().as_fusion() is None
    assert load_settings({"fusion": "linear", "fusion_weight": 0.7}).as_fusion() == Fusion(Method.LINEAR, weight=0.7)
    with pytest.raises(FusionError):
        load_settings({"fusion": "geometric", "normalization": "z_score"}).as_fusion()


# What `kubectl exec POD -- env` shows beside Services named sidecar and sidecar-api.
LINKS = {
    "SIDECAR_SERVICE_HOST": "10.96.11.4",
    "SIDECAR_SERVICE_PORT": "9280",
    "SIDECAR_SERVICE_PORT_HTTP": "9280",
    "SIDECAR_PORT": "tcp://10.96.11.4:9280",
    "SIDECAR_PORT_9280_TCP": "tcp://10.96.11.4:9280",
    "SIDECAR_PORT_9280_TCP_PROTO": "tcp",
    "SIDECAR_PORT_9280_TCP_PORT": "9280",
    "SIDECAR_PORT_9280_TCP_ADDR": "10.96.11.4",
    "SIDECAR_API_SERVICE_HOST": "fd00::4",
    "SIDECAR_API_PORT": "tcp://[fd00::4]:9281",
    "SIDECAR_API_PORT_9281_TCP": "tcp://[fd00::4]:9281",
    "SIDECAR_METRICS_PORT_53_UDP_PROTO": "udp",
}


def test_service_links_of_kubernetes_are_ignored(monkeypatch):
    for name, value in LINKS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SIDECAR_WINDOW", "30")
    settings = load_settings()
    assert (settings.port, settings.api_port, settings.window) == (9280, 9281, 30)
    assert ignored_variables() == sorted(LINKS)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SIDECAR_SERVICE_HOST", "search.internal", "SIDECAR_SERVICE_HOST is no setting"),
        ("SIDECAR_SERVICE_PORT", "tcp", "SIDECAR_SERVICE_PORT is no setting"),
        ("SIDECAR_PORT", "http://10.96.11.4:9280", "port: input should be a valid integer"),
        ("SIDECAR_PORT", "tcp://10.96.11.4", "port: input should be a valid integer"),
        ("SIDECAR_API_PORT_", "9281", "SIDECAR_API_PORT_ is no setting, did you mean SIDECAR_API_PORT?"),
        ("SIDECAR_PORT_9280", "9280", "SIDECAR_PORT_9280 is no setting"),
    ],
)
def test_what_only_resembles_a_service_link_is_refused(monkeypatch, name, value, message):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=message):
        load_settings()
