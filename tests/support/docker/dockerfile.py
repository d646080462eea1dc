"""Reads a Dockerfile, and runs its stages in a folder, without a container engine.

What is not there without one: namespaces, other users at build time, and the base image, for which this machine's
Python stands in. Absolute paths of the image become paths in the folder.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
# Paths of the image that are written to; not those inside a longer path or a URL.
OURS = re.compile(r"(?<![\w./:])/(?=(?:opt|build|var)/)")
# What only root can do, and what nothing in the image's files depends on.
OF_ROOT = ("groupadd", "useradd", "apt-get", *(() if os.geteuid() == 0 else ("chown",)))


@dataclass
class Stage:
    """One FROM: what it starts from, and its instructions in order."""

    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [value for name, value in self.steps if name == instruction]


@dataclass(frozen=True)
class Image:
    """A stage's result: its files, and how it runs."""

    files: Path
    env: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    user: str = ""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    healthcheck: tuple[str, ...] = ()


def read(path: Path = ROOT / "docker" / "Dockerfile") -> tuple[dict[str, str], dict[str, Stage]]:
    """The arguments before the first FROM, and the stages by name."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    current = None
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        name, _, value = line.strip().partition(" ")
        if name == "FROM":
            base, _, called = value.partition(" AS ")
            current = stages[called] = Stage(base)
        elif name == "ARG" and current is None:
            arguments |= [value.split("=", 1)]
        elif name:
            current.steps.append((name, value.strip()))
    return arguments, stages


class Builder:
    """Builds targets below `folder`. `arguments` are those of `--build-arg`; `env` replaces variables of the build."""

    def __init__(self, folder: Path, arguments: dict[str, str], env: dict[str, str]) -> None:
        self.stages = read()[1]
        self.root = folder / "root"
        self._folder, self._arguments, self._env = folder, arguments, env
        self._done: dict[str, Image] = {}
        self._stand_in("python", f'exec {self._python()} "$@"')
        for name in OF_ROOT:
            self._stand_in(name, "")

    def target(self, name: str) -> Image:
        """Build a target; its files are at `root` afterwards, the only place where its environment works."""
        image = self._build(name)
        image.files.rename(self.root)
        return replace(image, files=self.root)

    def inside(self, text: str) -> str:
        """Turn absolute paths of the image into those of the folder."""
        return OURS.sub(f"{self.root}/", text)

    def _python(self) -> Path:
        """A Python that every user can run: a copy, for this machine's own may lie behind closed doors."""
        copied = self._folder / "python"
        unwanted = shutil.ignore_patterns("site-packages", "test", "__pycache__")
        for part in ("bin", "lib"):
            if sys.base_prefix == "/usr":
                return Path(sys._base_executable)
            shutil.copytree(Path(sys.base_prefix) / part, copied / part, symlinks=True, ignore=unwanted)
        return copied / "bin" / f"python3.{sys.version_info.minor}"

    def _stand_in(self, name: str, script: str) -> None:
        path = self._folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def _build(self, name: str) -> Image:
        """Build a stage after those it needs. All are built at `root`: a virtual environment holds its own path."""
        if name in self._done:
            return self._done[name]
        stage = self.stages[name]
        for other in (stage.base, *re.findall(r"--from=(\S+)", " ".join(stage.all("COPY")))):
            if other in self.stages:
                self._build(other)
        base = self._done.get(stage.base, Image(self.root))
        if base.files == self.root:
            (self.root / "opt").mkdir(parents=True)
            (self.root / "var/lib/sidecar").mkdir(parents=True)
        else:
            subprocess.run(["cp", "-a", "--link", base.files, self.root], check=True)
        image, variables = replace(base, files=self._folder / name), dict(self._arguments)
        for instruction, value in stage.steps:
            image = self._step(image, instruction, value, variables)
        self.root.rename(image.files)
        self._done[name] = image
        return image

    def _step(self, image: Image, instruction: str, value: str, variables: dict[str, str]) -> Image:
        match instruction:
            case "ARG":
                variables.setdefault(value.partition("=")[0], value.partition("=")[2].strip('"'))
            case "COPY":
                self._copy(image, value, variables)
            case "RUN":
                self._run(image, value, variables)
            case "WORKDIR":
                Path(self.inside(f"{value}/")).mkdir(parents=True, exist_ok=True)
        return replace(image, **self._configured(image, instruction, value))

    def _configured(self, image: Image, instruction: str, value: str) -> dict[str, Any]:
        """Return what an instruction says of how the image runs."""
        match instruction:
            case "ENV":
                said = {n: v.strip('"').replace("$PATH", "") for n, v in re.findall(r'(\w+)=("[^"]*"|\S+)', value)}
                return {"env": image.env | {name: self.inside(text) for name, text in said.items()}}
            case "WORKDIR" | "USER":
                return {{"WORKDIR": "directory", "USER": "user"}[instruction]: value}
            case "ENTRYPOINT" | "CMD":
                return {{"ENTRYPOINT": "entrypoint", "CMD": "command"}[instruction]: tuple(json.loads(value))}
            case "HEALTHCHECK":
                words = json.loads(value.partition(" CMD ")[2])
                return {"healthcheck": tuple(self.inside(word) for word in words)}
            case "ARG" | "COPY" | "RUN" | "EXPOSE" | "LABEL":
                return {}
        raise NotImplementedError(instruction)

    def _copy(self, image: Image, value: str, variables: dict[str, str]) -> None:
        words = value.split()
        source = self._done[words.pop(0).partition("=")[2]].files if words[0].startswith("--from=") else ROOT
        *paths, target = words
        place = Path(self.inside(f"{image.directory}/")) / target if target.startswith(".") else self.inside(target)
        for path in paths:
            found = source / re.sub(r"\$\{(\w+)\}", lambda named: variables[named[1]], path).lstrip("/")
            end = Path(place) / found.name if target.endswith("/") else Path(place)
            end.parent.mkdir(parents=True, exist_ok=True)
            # Files that are linked to another stage's are replaced, never written into.
            flags = ["--remove-destination", *(["--link"] if source != ROOT else [])]
            subprocess.run(["cp", "-aT", *flags, found, end], check=True)

    def _run(self, image: Image, value: str, variables: dict[str, str]) -> None:
        command = self.inside(re.sub(r"^(--mount=\S+\s+)+", "", value))
        kept = {name: said for name, said in os.environ.items() if not re.match("SIDECAR_|VIRTUAL_ENV|PYTHON", name)}
        search = f"{image.env.get('PATH', '')}{self._folder}/bin:{os.environ['PATH']}"
        env = kept | image.env | variables | self._env | {"PATH": search}
        where = self.inside(f"{image.directory}/") if image.directory != "/" else self.root
        shell = ["/bin/sh", "-ec", command]
        done = subprocess.run(shell, env=env, cwd=where, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
