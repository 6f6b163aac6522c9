"""Commands that run as long as a test run needs them, and never longer: see `tests.keeper`."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

KEEPER = Path(__file__).with_name("keeper.py")
# The interval between two checks whether a command is ready; its end is noticed at once.
GLANCE = 0.03
# Nothing takes this long, not even on a slow and busy machine; only where something is broken, a test waits for it.
PATIENCE = 120.0


def eventually(happened: Callable[[], bool], *, seconds: float = PATIENCE) -> bool:
    """Whether something happens; only where it does not, this waits for all of the seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if happened():
            return True
        threading.Event().wait(GLANCE)
    return False


class RunningCommand:
    """A running command. Use it as a context manager, or call `stop()`."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        stop_signal: str = "SIGTERM",
        remove: Path | None = None,
    ) -> None:
        options = ["--signal", stop_signal]
        if user:
            options += ["--user", user]
        if remove:
            options += ["--remove", str(remove)]
        self.command = list(command)
        self._log_file = log.open("a+b")
        self._last_words = ""
        self._keeper = subprocess.Popen(
            [sys.executable, "-S", "-E", str(KEEPER), *options, "--", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log_file,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )
        assert self._keeper.stdout is not None
        first = self._keeper.stdout.readline()
        if not first:
            self.stop()
            raise RuntimeError(f"{command[0]} could not be started:\n{self.output()}")
        self.pid = int(first)

    def wait_until(self, ready: Callable[[], bool], *, seconds: float = PATIENCE) -> None:
        """Wait until `ready()` is true; an error if the command ends before that or takes too long."""
        for _ in range(int(seconds / GLANCE)):
            if ready():
                return
            try:
                self._keeper.wait(GLANCE)
            except subprocess.TimeoutExpired:
                continue
            raise RuntimeError(f"{' '.join(self.command)} ended early:\n{self.output()}")
        self.stop()
        raise TimeoutError(f"{' '.join(self.command)} was not ready in {seconds:g} s:\n{self.output()}")

    def wait_for_end(self, *, seconds: float = PATIENCE) -> None:
        """Wait until the command ends on its own."""
        self._keeper.wait(seconds)

    def stop(self) -> None:
        """Ask the command to stop, and wait until it has."""
        if self._keeper.stdin and not self._keeper.stdin.closed:
            self._keeper.stdin.close()
        self._keeper.wait()
        if self._keeper.stdout:
            self._keeper.stdout.close()
        self._last_words = self.output()
        self._log_file.close()

    def output(self) -> str:
        """The end of its output."""
        if self._log_file.closed:
            return self._last_words
        # Read through the open file, because the keeper may have removed its folder already.
        self._log_file.seek(0)
        return self._log_file.read().decode(errors="replace")[-4000:]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
