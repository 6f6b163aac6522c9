"""Hold a command for a test run: it ends when the run does, however the run ends.

Run as a script by `tests.processes`. The run holds the other end of our standard input; when the run is over,
interrupted or killed, that pipe closes. Then the command is asked to stop, is killed if it will not, and the
folder made for it is removed. Standard library only: it has to start fast.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading

PATIENCE = 15.0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--user", help="run the command as this user")
    parser.add_argument("--signal", default="SIGTERM", help="what asks the command to stop")
    parser.add_argument("--remove", help="remove this folder at the end")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    try:
        process = subprocess.Popen(
            options.command,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,  # Our standard output is for the process id alone.
            start_new_session=True,  # Ctrl+C is for the run; the command then hears from us.
            user=options.user,
            extra_groups=[] if options.user else None,
        )
        print(process.pid, flush=True)
        request = signal.Signals[options.signal]
        threading.Thread(target=_stop_at_end, args=(process, request), daemon=True).start()
        code = process.wait()
        _kill_group(process.pid)
    finally:
        if options.remove:
            shutil.rmtree(options.remove, ignore_errors=True)
    return code if code >= 0 else 128 - code


def _stop_at_end(process: subprocess.Popen[bytes], request: signal.Signals) -> None:
    # Not sys.stdin: a thread that waits in it would hold its lock when the interpreter ends.
    while os.read(0, 1024):
        pass
    process.send_signal(request)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        _kill_group(process.pid)


def _kill_group(group: int) -> None:
    """What the command left behind is in its own session and group, and nothing else is."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


if __name__ == "__main__":
    sys.exit(main())
