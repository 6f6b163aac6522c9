"""Which processes listen on a port, read from Linux's /proc; other systems do not say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
# The state of a listening socket in /proc/net/tcp.
LISTENING = "0A"


class ListeningProcess(NamedTuple):
    """A process that listens."""

    pid: int
    command: str


def listening_processes(port: int) -> list[ListeningProcess]:
    """The processes that listen on this port, as far as this user may see them."""
    sockets = {f"socket:[{number}]" for number in _listening_at(port)}
    return list(_processes_with(sockets)) if sockets else []


def are_left_behind(holders: Sequence[ListeningProcess]) -> bool:
    """Whether these are the processes of a server whose main process is gone; they are about to end. An ending process
    loses its command before it releases the port.
    """
    return bool(holders) and all(not holder.command or "multiprocessing" in holder.command for holder in holders)


def _listening_at(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (PROC / "net" / table).read_text().splitlines()[1:]:
                place, state, inode = (line.split()[column] for column in (1, 3, 9))
                if state == LISTENING and int(place.rpartition(":")[2], 16) == port:
                    yield inode


def _processes_with(sockets: set[str]) -> Iterator[ListeningProcess]:
    for folder in sorted(PROC.glob("[0-9]*"), key=lambda path: int(path.name)):
        # A process may end meanwhile, or belong to another user.
        with suppress(OSError):
            if any(str(file.readlink()) in sockets for file in (folder / "fd").iterdir()):
                words = (folder / "cmdline").read_bytes().split(b"\0")
                yield ListeningProcess(int(folder.name), b" ".join(words).decode(errors="replace").strip())
