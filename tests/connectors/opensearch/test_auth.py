"""The way into a cluster: what goes over the wire for each, what contradicts, and that no secret is ever shown."""

from __future__ import annotations

import logging
import socket

import pytest
from opensearchpy import ConnectionError as NoConnection
from opensearchpy import ConnectionTimeout, TransportError

from connectors.opensearch.auth import Access
from connectors.opensearch.connector import OpenSearchConnector, SearchRequest
from connectors.opensearch.transport import connect, for_writing, search
from sidecar.cli.factories import build_opensearch_client
from sidecar.cli.main import main
from sidecar.core.errors import ConfigurationError, EngineUnreachable
from sidecar.settings import Settings, load_settings, variable
from tests.support.servers.canned_opensearch import FINE, MATCH, WINDOW

SECRET = "s3cret-ž"


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)
    monkeypatch.chdir(tmp_path)


def bare(server):
    return server.url.replace("ada:s3cret@", "")


@pytest.fixture
def closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]  # bound, and nobody listens


@pytest.mark.parametrize(
    ("access", "header"),
    [
        (Access(), None),
        (Access(user="ada", password="pw"), "Basic YWRhOnB3"),
        (Access(user="ada"), "Basic YWRhOg=="),
        (Access(user="ada", password="ž:"), "Basic YWRhOsW+Og=="),  # UTF-8, and a colon of its own
        (Access(token="abc.def"), "Bearer abc.def"),
        (Access(token="ApiKey abc"), "ApiKey abc"),
    ],
)
def test_who_asks(server, access, header):
    search(connect(bare(server), access), "docs", b"{}", {}, {})
    ((_, headers, _),) = server.requests
    assert headers.get("authorization") == header


def test_an_account_in_the_url_takes_its_password_from_beside_it(server):
    search(connect(bare(server).replace("//", "//ada@"), Access(password="pw")), "docs", b"{}", {}, {})
    search(connect(server.url, Access(user="ada")), "docs", b"{}", {}, {})
    assert [headers["authorization"] for _, headers, _ in server.requests] == [
        "Basic YWRhOnB3",
        "Basic YWRhOnMzY3JldA==",
    ]


@pytest.mark.parametrize(
    ("url", "access", "message"),
    [
        ("http://ada:s3cret@a:1,http://eve:s3cret@b:1", Access(), "several accounts"),
        ("http://ada:s3cret@a:1", Access(user="eve"), "several accounts"),
        ("http://a:1", Access(password="s3cret"), "a password without a user name"),
        ("http://ada:s3cret@a:1", Access(token="s3cret"), "a user name and a token: each of them says who asks"),
        ("http://a:1", Access(token="s3cret", aws_region="eu-west-1"), "a token and an AWS region"),
        ("http://a:1", Access(token="s3cret 1 2"), "the token is not one word"),
        ("http://a:1", Access(token="s3cret\r\nX-Other: 1"), "the token is not one word"),
        ("http://a:1", Access(ca_certs="ca.pem"), "the URL is an http one"),
        ("http://a:1", Access(verify_certs=False), "the URL is an http one"),
        ("https://a:1", Access(client_key="key.pem"), "a client key without its certificate"),
        ("https://a:1", Access(ca_certs="ca.pem", verify_certs=False), "any certificate is to be believed"),
        ("https://a:1", Access(ca_certs="nowhere.pem"), "nowhere.pem can't be used: .*No such file"),
        ("https://a:1", Access(client_cert="nowhere.pem"), "nowhere.pem can't be used: .*No such file"),
    ],
)
def test_what_contradicts_is_refused_without_its_secrets(url, access, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        connect(url, access)
    assert "s3cret" not in str(caught.value)
    assert caught.value.remedy


def test_a_file_that_is_no_certificate_is_named(tmp_path):
    (tmp_path / "ca.pem").write_text("not a certificate")
    with pytest.raises(ConfigurationError, match=r"ca\.pem can't be used"):
        connect("https://a:1", Access(ca_certs="ca.pem"))


def test_settings_become_the_way_in(server, monkeypatch):
    monkeypatch.setenv("SIDECAR_OPENSEARCH_TOKEN", "abc")
    monkeypatch.setenv("SIDECAR_OPENSEARCH_RETRIES", "1")
    client = build_opensearch_client(load_settings({"opensearch_url": bare(server)}))
    search(client, "docs", b"{}", {}, {})
    ((_, headers, _),) = server.requests
    assert headers["authorization"] == "Bearer abc"
    assert client.transport.max_retries == 1


def test_no_secret_is_ever_shown(server, monkeypatch, capsys, caplog, closed_port):
    monkeypatch.setenv("SIDECAR_OPENSEARCH_TOKEN", SECRET)
    monkeypatch.setenv("SIDECAR_OPENSEARCH_PASSWORD", SECRET)
    monkeypatch.setenv("SIDECAR_OPENSEARCH_URL", f"https://ada:{SECRET}/,@a:1, https://ada:{SECRET}@@b:1/x")
    settings = load_settings()
    assert settings.model_dump()["opensearch_url"] == "https://***@a:1, https://***@b:1/x"
    main_output = []
    for words in (["settings"], ["settings", "--json"]):
        with pytest.raises(SystemExit):
            main(words)
        main_output.append(capsys.readouterr().out)
    access = Access(user="ada", password=SECRET, token=SECRET)
    shown = [repr(settings), settings.model_dump_json(), repr(access), *main_output]
    caplog.set_level(logging.DEBUG)
    for way_in in (Access(user="ada", password=SECRET), Access(token="s3cret-z")):
        client = connect(f"{bare(server)},http://127.0.0.1:{closed_port}", way_in)
        for _ in range(2):
            search(client, "docs", b"{}", {}, {})
        shown += [repr(client), repr(client.transport.connection_pool), str(client.transport.hosts)]
        with pytest.raises(EngineUnreachable) as caught:
            search(connect(f"http://127.0.0.1:{closed_port}", way_in), "docs", b"{}", {}, {})
        shown.append(f"{caught.value!r} {caught.value} {caught.value.__cause__!r}")
    assert [text for text in [*shown, caplog.text] if "s3cret" in text or "czNjcmV0" in text] == []
    assert "POST" in caplog.text  # something was logged, at least


def test_a_dead_node_is_passed_over(server, closed_port):
    for _ in range(4):  # opensearch-py begins with a node by chance
        client = connect(f"http://127.0.0.1:{closed_port},{server.url}")
        assert search(client, "docs", b"{}", {}, {}) == FINE[2]
        assert search(client, "docs", b"{}", {}, {}) == FINE[2]
    assert {headers["authorization"] for _, headers, _ in server.requests} == {"Basic YWRhOnMzY3JldA=="}


def test_all_nodes_dead_are_all_named(closed_port):
    client = connect(f"http://127.0.0.1:{closed_port},http://localhost:{closed_port}")
    for _ in range(2):
        with pytest.raises(EngineUnreachable) as caught:
            search(client, "docs", b"{}", {}, {})
        assert f"http://127.0.0.1:{closed_port}" in caught.value.message
        assert f"http://localhost:{closed_port}" in caught.value.message


def test_a_write_passes_over_a_node_that_took_no_connection(server, closed_port):
    for _ in range(4):
        writer = for_writing(connect(f"http://127.0.0.1:{closed_port},{server.url}"))
        assert writer.transport.perform_request("POST", "/_bulk", body=b"{}")["took"] == 1
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    "failure",
    [
        NoConnection("N/A", "connection reset", ConnectionResetError()),
        ConnectionTimeout("TIMEOUT", "late", TimeoutError()),
        TransportError(503, "busy", None),
    ],
)
def test_a_write_that_may_have_arrived_is_not_sent_again(failure):
    class Line:
        host = "http://a"
        sent = 0

        def perform_request(self, *_, **options):
            Line.sent += 1
            raise failure

    client = connect("http://127.0.0.1:1")
    client.transport.get_connection = Line
    with pytest.raises(TransportError):
        for_writing(client).transport.perform_request("POST", "/_bulk", body=b"{}")
    assert Line.sent == 1


@pytest.fixture
def aws(monkeypatch, tmp_path):
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG")


@pytest.mark.parametrize("service", ["es", "aoss"])
@pytest.mark.usefixtures("aws")
def test_aws_gets_a_signature_of_the_rewritten_search(server, service, monkeypatch):
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")
    client = connect(bare(server), Access(aws_region="eu-central-1", aws_service=service))
    OpenSearchConnector(client).fetch(SearchRequest("logs-a,b", MATCH, {"routing": "r", "preference": "p"}))
    (path, headers, body), *_ = server.requests
    assert body == WINDOW
    names = {name.lower(): value for name, value in headers.items()}
    scope, signed, signature = names["authorization"].removeprefix("AWS4-HMAC-SHA256 ").split(", ")
    assert scope.endswith(f"/eu-central-1/{service}/aws4_request")
    assert {"host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"} <= set(
        signed.removeprefix("SignedHeaders=").split(";")
    )
    # The signature is computed anew, from what the server saw alone.
    signer = SigV4Auth(Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG", "session"), service, "eu-central-1")
    seen = AWSRequest("POST", f"http://{names['host']}{path}", data=body)
    for name in signed.removeprefix("SignedHeaders=").split(";"):
        seen.headers[name] = names[name]
    seen.context["timestamp"] = names["x-amz-date"]
    text = signer.string_to_sign(seen, signer.canonical_request(seen))
    assert signature == f"Signature={signer.signature(text, seen)}"


@pytest.mark.usefixtures("aws")
def test_aws_without_credentials_says_where_they_are_looked_for(monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ConfigurationError, match="no AWS credentials") as caught:
        connect("https://a:1", Access(aws_region="eu-central-1"))
    assert "AWS_ACCESS_KEY_ID" in caught.value.remedy
