"""TLS on a listener: who is let in, and a certificate that is exchanged while it serves."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sidecar.core.errors import ConfigurationError
from sidecar.serving.http.tls import ServerTls, TlsFiles
from sidecar.serving.run import server_tls
from sidecar.settings import Settings
from tests.support.docker.scripts import script
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make certificates with")
PROGRAM = """
import asyncio, pathlib, sys
from sidecar.serving.http.listeners import Listener, reserve, serve_together
from sidecar.serving.run import client_limits, listener_config, server_tls
from sidecar.settings import Settings

async def app(scope, receive, send):
    body = (await receive())["body"] + scope["scheme"].encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})

ca = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
settings = Settings(tls_cert=pathlib.Path(sys.argv[1]), tls_client_ca=ca)
tls = server_tls(settings)
opened = [reserve("127.0.0.1", 0), reserve("127.0.0.1", 0)]
print(*(one.getsockname()[1] for one in opened), flush=True)
listeners = [(Listener(listener_config(settings, app, 0, client_limits(settings, 100), tls)), one) for one in opened]
asyncio.run(serve_together(listeners, reload=tls.reload))
"""


def certificate(folder, name):
    """A certificate of its own making, with its key in the same file."""
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{name}.key", "-out", f"{name}.crt",
    ]  # fmt: skip
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    both = folder / f"{name}.pem"
    both.write_bytes((folder / f"{name}.crt").read_bytes() + (folder / f"{name}.key").read_bytes())
    return both


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    return {name: certificate(folder, name) for name in ("one", "two", "client")}


@pytest.fixture
def serving(request, made, tmp_path):
    shown = tmp_path / "shown.pem"
    shutil.copy(made["one"], shown)
    words = [sys.executable, "-c", PROGRAM, shown, *getattr(request, "param", ())]
    if len(words) > 4:
        words[4] = made[words[4]]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3])
    ports = [int(port) for port in process.stdout.readline().split()]
    yield process, ports, shown
    process.kill()
    process.wait()


def asked(port, trusts, shows=None):
    """Return the answer to a request with a body, by a client that trusts one certificate."""
    context = ssl.create_default_context(cafile=trusts)
    if shows is not None:
        context.load_cert_chain(shows)
    deadline = time.monotonic() + 20
    while True:
        try:
            plain = socket.create_connection(("127.0.0.1", port), timeout=10)
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc")
        received = b""
        while part := connection.recv(65536):
            received += part
    return received.partition(b"\r\n\r\n")[2]


def is_taken(port, certificate):
    """Whether this port shows this certificate."""
    with contextlib.suppress(ssl.SSLCertVerificationError):
        return asked(port, certificate) != b""
    return False


def test_both_ports_speak_tls_and_a_new_certificate_is_taken_on_sighup(serving, made):
    process, ports, shown = serving
    assert [asked(port, made["one"]) for port in ports] == [b"abchttps"] * 2
    shutil.copy(made["two"], shown)
    process.send_signal(signal.SIGHUP)
    until(lambda: is_taken(ports[0], made["two"]))
    assert [asked(port, made["two"]) for port in ports] == [b"abchttps"] * 2
    with pytest.raises(ssl.SSLCertVerificationError):
        asked(ports[0], made["one"])
    shown.write_text("no certificate")
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)  # there is nothing to see of it
    assert asked(ports[0], made["two"]) == b"abchttps"


def test_without_tls_nobody_is_understood(serving, made):
    _, ports, _ = serving
    asked(ports[0], made["one"])
    with socket.create_connection(("127.0.0.1", ports[0]), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not connection.recv(100).startswith(b"HTTP")


@pytest.mark.parametrize("serving", [["client"]], indirect=True)
def test_with_a_ca_for_clients_only_they_are_let_in(serving, made):
    _, ports, _ = serving
    assert asked(ports[0], made["one"], shows=made["client"]) == b"abchttps"
    for shows in (None, made["two"]):
        answer = b""
        with contextlib.suppress(ssl.SSLError, ConnectionError):  # whether it is said depends on who closes first
            answer = asked(ports[0], made["one"], shows)
        assert answer == b""


def test_the_container_s_health_check_speaks_tls(serving, made):
    _, ports, shown = serving
    asked(ports[0], made["one"])
    done = script("healthcheck.py", SIDECAR_PORT=str(ports[0]), SIDECAR_TLS_CERT=shown)
    assert (done.returncode, done.stdout.strip()) == (0, "https")


def test_files_that_are_no_pair_are_refused(made, tmp_path):
    for certificate_file, key in ((made["one"], made["two"]), (tmp_path / "absent.pem", None), (__file__, None)):
        with pytest.raises(ConfigurationError, match="can't be used for TLS"):
            ServerTls(TlsFiles(Path(certificate_file), key))
    with pytest.raises(ConfigurationError, match="there is no certificate"):
        server_tls(Settings(tls_client_ca=made["client"]))
    assert server_tls(Settings()) is None


def test_a_key_with_a_passphrase_is_refused_and_not_asked_for(made, tmp_path):
    locked = tmp_path / "locked.key"
    command = ["openssl", "rsa", "-aes128", "-passout", "pass:word", "-in", made["one"], "-out", locked]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(ConfigurationError, match="the key has a passphrase"):
        ServerTls(TlsFiles(made["one"].with_suffix(".crt"), locked))
