"""Plugins for a test node, from Maven Central: ML Commons with neural search, and security with TLS.

The security plugin has the administrator of `Login` and three ways in: name and password, client certificate, JSON Web
Token. Its certificates are made anew for each node.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Group: the folder of each plugin, and its artifact.
PLUGINS = {
    "ml": {
        "opensearch-job-scheduler": "opensearch-job-scheduler",
        "opensearch-knn": "opensearch-knn",
        "opensearch-ml": "opensearch-ml-plugin",
        "opensearch-neural-search": "neural-search",
    },
    "security": {"opensearch-security": "opensearch-security"},
}
# 300 MB that a remote model never loads.
NOT_UNPACKED = r"onnxruntime_gpu-.*"
REPOSITORY = Path(os.environ.get("M2_REPO", Path.home() / ".m2" / "repository"))

ML_SETTINGS = {
    "plugins.ml_commons.only_run_on_ml_node": "false",
    "plugins.ml_commons.connector.private_ip_enabled": "true",
    "plugins.ml_commons.trusted_connector_endpoints_regex": r'["^http://127\\.0\\.0\\.1:.*$"]',
    "plugins.ml_commons.native_memory_threshold": 100,
    "plugins.ml_commons.jvm_heap_memory_threshold": 100,
    "plugins.ml_commons.disk_free_space_threshold": '"1mb"',
}
SECURITY_SETTINGS = {
    "plugins.security.ssl.http.enabled": "true",
    "plugins.security.ssl.http.clientauth_mode": "OPTIONAL",
    "plugins.security.ssl.transport.enforce_hostname_verification": "false",
    "plugins.security.allow_default_init_securityindex": "true",
    "plugins.security.nodes_dn": '["CN=test-node"]',
    "plugins.security.authcz.admin_dn": '["CN=nobody"]',
    "plugins.security.system_indices.enabled": "true",
    "plugins.security.restapi.roles_enabled": '["all_access"]',
    "plugins.security.unsupported.restapi.allow_securityconfig_modification": "true",
    **{
        f"plugins.security.ssl.{layer}.{file}_filepath": name
        for layer in ("transport", "http")
        for file, name in (("pemcert", "node.pem"), ("pemkey", "node-key.pem"), ("pemtrustedcas", "ca.pem"))
    },
}
NEW_KEY = ("-newkey", "rsa:2048", "-nodes")
JWT_KEY = base64.b64encode(b"a key of a test node that nobody else uses").decode()
WAYS_IN = f"""\
_meta: {{type: config, config_version: 2}}
config:
  dynamic:
    http: {{anonymous_auth_enabled: false}}
    authc:
      token:
        http_enabled: true
        order: 0
        http_authenticator: {{type: jwt, challenge: false, config: {{signing_key: "{JWT_KEY}"}}}}
        authentication_backend: {{type: noop}}
      certificate:
        http_enabled: true
        order: 1
        http_authenticator: {{type: clientcert, challenge: false, config: {{username_attribute: cn}}}}
        authentication_backend: {{type: noop}}
      password:
        http_enabled: true
        order: 2
        http_authenticator: {{type: basic, challenge: true}}
        authentication_backend: {{type: intern}}
"""


@dataclass(frozen=True)
class Login:
    """The administrator of a secure node, and the folder of the certificates: `ca.pem`, `NAME.pem`, `NAME-key.pem`."""

    folder: Path
    user: str = "admin"
    password: str = "admin"

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def authorization(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def unpack(home: Path, version: str, groups: Sequence[str]) -> None:
    """Put plugins into a home; what they bring of a config goes to the home's `config`."""
    for folder, artifact in [plugin for group in groups for plugin in PLUGINS[group].items()]:
        with zipfile.ZipFile(_fetched(artifact, f"{version}.0")) as archive:
            wanted = [name for name in archive.namelist() if not re.fullmatch(NOT_UNPACKED, name)]
            archive.extractall(home / "plugins" / folder, wanted)
        config = home / "plugins" / folder / "config"
        if config.exists():
            (home / "config").mkdir(exist_ok=True)
            shutil.move(config, home / "config" / folder)


def _fetched(artifact: str, version: str) -> Path:
    archive = REPOSITORY / f"org/opensearch/plugin/{artifact}/{version}/{artifact}-{version}.zip"
    if not archive.exists():
        name = f"-Dartifact=org.opensearch.plugin:{artifact}:{version}:zip"
        command = ["mvn", "-q", "-B", f"-Dmaven.repo.local={REPOSITORY}", "dependency:get", name, "-Dtransitive=false"]
        subprocess.run(command, check=True, capture_output=True, text=True)
    return archive


def configure(home: Path, config: Path) -> tuple[dict[str, Any], Login | None]:
    """Write the plugins' config files for one node; returns its settings, and a login if it wants one."""
    if (home / "config").exists():
        shutil.copytree(home / "config", config, dirs_exist_ok=True)
    settings: dict[str, Any] = {}
    if (home / "plugins/opensearch-ml").exists():
        settings |= ML_SETTINGS
    if not (home / "plugins/opensearch-security").exists():
        return settings, None
    (config / "opensearch-security/config.yml").write_text(WAYS_IN)
    _make_authority(config)
    make_certificate(config, "node", "test-node", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    return settings | SECURITY_SETTINGS, Login(config)


def _make_authority(folder: Path) -> None:
    ca = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"]
    _openssl(folder, "req", "-x509", *NEW_KEY, "-keyout", "ca-key.pem", "-out", "ca.pem", "-subj", "/CN=test-ca", *ca)


def make_certificate(folder: Path, name: str, subject: str, extension: str = "basicConstraints=CA:FALSE") -> None:
    """Write `NAME.pem` and `NAME-key.pem`, signed by the authority of that folder."""
    _openssl(folder, "req", *NEW_KEY, "-keyout", f"{name}-key.pem", "-out", f"{name}.csr", "-subj", f"/CN={subject}")
    (folder / f"{name}.ext").write_text(extension)
    _openssl(
        folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial",
        "-out", f"{name}.pem", "-days", "30", "-extfile", f"{name}.ext",
    )  # fmt: skip


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def token(user: str) -> str:
    """Sign a JSON Web Token that logs this user in."""
    parts = [_url64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, {"sub": user})]
    signed = hmac.digest(base64.b64decode(JWT_KEY), ".".join(parts).encode(), hashlib.sha256)
    return ".".join([*parts, _url64(signed)])


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
