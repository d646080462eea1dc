"""The node that the live tests run on: what it is made with, and that it hides no failure and outlives no test."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.live import elasticsearch_node, opensearch_home
from tests.support.live.java_node import NodeFailed
from tests.support.live.node_home import NoNode
from tests.support.live.nodes import VERSIONS
from tests.support.live.opensearch_home import build, jdk
from tests.support.live.opensearch_node import Node


def a_jdk(folder, version):
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/javac").touch()
    (folder / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return folder


@pytest.fixture
def no_java(monkeypatch, tmp_path):
    for name in ("JAVA_HOME", "OS2_JAVA_HOME", "OS3_JAVA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(opensearch_home, "JVMS", tmp_path / "jvm")
    return tmp_path


@pytest.mark.parametrize(
    ("java", "fits"),
    [
        ("11.0.2", {"2.19.1"}),
        ("17.0.9", {"2.19.1"}),
        ("21", {"2.19.1", "3.3.2"}),
        ("25.0.1", {"3.3.2"}),
        ("9.0.4", set()),
    ],
)
def test_a_jdk_fits_some_versions(no_java, java, fits):
    home = a_jdk(no_java / "jvm" / "some", java)
    for version in VERSIONS:
        if version in fits:
            assert jdk(version) == home
        else:
            with pytest.raises(NoNode, match=f"no JDK .* for OpenSearch {version}: set OS{version[0]}_JAVA_HOME"):
                jdk(version)


def test_a_named_jdk_goes_first(no_java, monkeypatch):
    a_jdk(no_java / "jvm" / "some", "21")
    monkeypatch.setenv("JAVA_HOME", str(a_jdk(no_java / "home", "17")))
    assert jdk("2.19.1") == no_java / "home"
    monkeypatch.setenv("OS2_JAVA_HOME", "/opt/named")
    assert str(jdk("2.19.1")) == "/opt/named"


def test_without_maven_the_reason_is_said_for_elasticsearch_too(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoNode, match="no Maven"):
        elasticsearch_node.build(tmp_path / "home", "9.2.1")
    assert list(tmp_path.iterdir()) == []


def test_without_maven_the_reason_is_said_and_nothing_is_left(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoNode, match=r"no Maven \(mvn\)"):
        build(tmp_path / "cache" / "2.19.1", "2.19.1")
    assert not (tmp_path / "cache").exists()


def test_a_failed_download_leaves_no_home(monkeypatch, tmp_path):
    (tmp_path / "mvn").write_text("#!/bin/sh\necho 'Could not transfer artifact'\nexit 1\n")
    (tmp_path / "mvn").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(NoNode, match=r"Maven could not fetch OpenSearch 2\.19\.1: Could not transfer artifact"):
        build(tmp_path / "cache" / "2.19.1", "2.19.1")
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_openssl_there_is_no_secure_node(monkeypatch, tmp_path):
    (tmp_path / "mvn").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoNode, match="no openssl"):
        build(tmp_path / "cache" / "2.19.1", "2.19.1", ("ml", "security"))


def a_node(folder, monkeypatch, script, **options):
    """Start a node whose Java is a shell script."""
    java = folder / "jdk/bin/java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\n{script}\n")
    java.chmod(0o755)
    monkeypatch.setenv("OS2_JAVA_HOME", str(folder / "jdk"))
    return Node(folder / "home", "2.19.1", folder / "run", **options)


def running(folder):
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if str(folder / "run") in line]


def test_a_node_that_never_gets_healthy_is_a_failure_and_is_ended(tmp_path, monkeypatch):
    with pytest.raises(NodeFailed, match="not ready in time: NODE STARTED"):
        a_node(tmp_path, monkeypatch, "echo NODE STARTED 127.0.0.1:1\ncat > /dev/null", timeout=1)
    assert running(tmp_path) == []


def test_a_node_that_never_starts_is_a_failure_and_is_ended(tmp_path, monkeypatch):
    with pytest.raises(NodeFailed, match="not ready in time: loading"):
        a_node(tmp_path, monkeypatch, "echo loading\nexec sleep 60", timeout=1)
    assert running(tmp_path) == []


def test_a_node_that_dies_is_a_failure_with_its_log(tmp_path, monkeypatch):
    with pytest.raises(NodeFailed, match="the node died, exit status 3: out of luck"):
        a_node(tmp_path, monkeypatch, "echo out of luck\nexit 3")
