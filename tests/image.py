"""Does what the Dockerfile says on this machine, without a container engine.

The same files are copied, the same wheel is built and installed into an environment that has only the locked packages,
and commands run in it as a user who is not root, in a read-only folder.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.markers import Marker

from tests.postgres import unprivileged_user
from tests.processes import RunningCommand

ROOT = Path(__file__).resolve().parent.parent


# ----------------------------------------------------------------------------------------- reading the Dockerfile


@dataclass(frozen=True)
class Stage:
    """The instructions of the Dockerfile between two FROM."""

    lines: list[tuple[str, str]]

    def all(self, word: str) -> list[str]:
        return [rest for instruction, rest in self.lines if instruction == word]

    def words(self, word: str) -> list[str]:
        """A command in its JSON form."""
        command: list[str] = json.loads(self.all(word)[-1])
        return command

    def copied(self) -> list[str]:
        """The files that are copied from the checkout."""
        sources = (rest.split()[:-1] for rest in self.all("COPY") if not rest.startswith("--from"))
        return [source for line in sources for source in line]

    def environment(self) -> dict[str, str]:
        return dict(pair.split("=", 1) for rest in self.all("ENV") for pair in shlex.split(rest))

    def health_check(self) -> list[str]:
        command: list[str] = json.loads(self.all("HEALTHCHECK")[-1].partition("CMD")[2])
        return command


def read_stages() -> list[Stage]:
    """The build stage and the final stage."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    stages: list[Stage] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _space, rest = line.partition(" ")
        if word == "FROM":
            stages.append(Stage([]))
        if stages:
            stages[-1].lines.append((word, rest.strip()))
    return stages


BUILD, FINAL = read_stages()


# --------------------------------------------------------------------------------------------- making the image


@dataclass(frozen=True)
class Image:
    """The contents of the image on this machine: an environment with Docket in it, and a folder to write in."""

    wheel: Path
    environment: Path
    data: Path
    nowhere: Path
    user: str | None

    def settings(self, given: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of a process in it, with the settings of `docker run --env`."""
        here = {"/opt/docket": str(self.environment), "/var/lib/docket": str(self.data), "$PATH": "/usr/bin:/bin"}
        ours = FINAL.environment()
        for there, place in here.items():
            ours = {name: value.replace(there, place) for name, value in ours.items()}
        return ours | dict(given or {})

    def command(self, words: Sequence[str]) -> list[str]:
        """The words of a command, with its program looked up in the environment."""
        return [str(self.environment / "bin" / words[0]), *words[1:]]

    def run(self, words: Sequence[str], env: Mapping[str, str], typed: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(words),
            env=env,
            cwd=self.nowhere,
            user=self.user,
            extra_groups=[] if self.user else None,
            input=typed,
            capture_output=True,
            text=True,
        )

    def start(self, words: Sequence[str], env: Mapping[str, str]) -> RunningCommand:
        log = Path(tempfile.mkdtemp(prefix="docket-image-log-"))
        return RunningCommand(
            self.command(words), log=log / "log", cwd=self.nowhere, env=env, user=self.user, remove=log
        )

    def compiled_templates(self) -> dict[str, int]:
        """The templates of pages that are compiled, and when that was done."""
        (folder,) = self.environment.glob("lib/python*/site-packages/webapp/core/__pycache__/compiled_templates.*/")
        return {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}

    def is_healthy(self, port: int, env: Mapping[str, str]) -> bool:
        """The result of the health check, on another port, because 8000 may be taken on this machine."""
        return not self.run([word.replace(":8000/", f":{port}/") for word in FINAL.health_check()], env).returncode


@contextmanager
def make_image() -> Iterator[Image]:
    """Build the image, and remove it at the end."""
    interpreter, user = Path(sys.executable), unprivileged_user()
    if user:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        known = [interpreter, Path("/usr/local/bin") / version, Path("/usr/bin") / version]
        usable = [path for path in known if path.exists() and is_public(path.resolve())]
        # Where only root has a Python, root has to do.
        interpreter, user = (usable[0], user) if usable else (interpreter, None)
    # Not in one of pytest's folders, which only its owner may enter.
    home = Path(tempfile.mkdtemp(prefix="docket-image-"))
    try:
        home.chmod(0o755)
        wheel = build_wheel(home / "build")
        environment = make_environment(home / "docket", wheel, interpreter)
        data, nowhere = home / "data", home / "nowhere"
        data.mkdir()
        nowhere.mkdir(mode=0o555)
        if user:
            os.chown(data, user.pw_uid, user.pw_gid)
        yield Image(wheel, environment, data, nowhere, user.pw_name if user else None)
    finally:
        shutil.rmtree(home)


def is_public(path: Path) -> bool:
    """Whether all users may enter the folder; root's home is often closed."""
    return all(folder.stat().st_mode & 0o001 for folder in path.parents)


def build_wheel(context: Path) -> Path:
    """Build the wheel from what the Dockerfile copies, not in the checkout, whose files other processes read."""
    for source in BUILD.copied():
        target = context / source
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("vendor", "__pycache__"))
        else:
            shutil.copyfile(ROOT / source, target)
    (command,) = re.findall(r"pip (wheel .*?) &&", BUILD.all("RUN")[-1])
    python("-m", "pip", *shlex.split(command), cwd=context)
    (wheel,) = (context / "dist").iterdir()
    return wheel


def make_environment(folder: Path, wheel: Path, interpreter: Path) -> Path:
    """An environment like the image's, with those of our packages that the image's lock names."""
    subprocess.run([interpreter.resolve(), "-m", "venv", "--without-pip", str(folder)], check=True)
    (target,) = folder.glob("lib/python*/site-packages")
    lock = (ROOT / "requirements" / "base.txt").read_text()
    for name, version, marker in re.findall(r"^([\w.-]+)==(\S+)(?: ; (.+?))? \\$", lock, re.MULTILINE):
        if marker and not Marker(marker).evaluate():
            continue
        package = metadata.distribution(name)
        assert package.version == version
        # The packages' commands are outside, and Docket does not need them.
        for top in {file.parts[0] for file in package.files or []} - {"..", "__pycache__"}:
            source = Path(str(package.locate_file(top)))
            if is_public(source):
                (target / top).symlink_to(source)
            elif source.is_dir():
                shutil.copytree(source, target / top)
            else:
                shutil.copy2(source, target / top)
    python("-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--no-deps", "--no-index", str(wheel))
    (program,) = re.findall(r"/opt/docket/bin/python -c \"(.*?)\"", BUILD.all("RUN")[-1])
    # Without this machine's settings, which may name another place of Docket, or keep Python from writing.
    subprocess.run([folder / "bin" / "python", "-c", program], cwd=folder, env={}, check=True)
    return folder


def python(*words: str, cwd: Path | None = None) -> None:
    """Run our Python, which must succeed."""
    done = subprocess.run([sys.executable, *words], cwd=cwd, capture_output=True, text=True)
    assert not done.returncode, done.stdout + done.stderr
