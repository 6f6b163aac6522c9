"""Runs a command for a test run: the command ends when the run does, however the run ends.

Run as a script by `tests.processes`. The run holds the other end of our standard input, a pipe that closes when the run
is over, interrupted or killed. Then the command is asked to stop, is killed if it does not, and its folder is removed.
This script uses only the standard library, because it must start fast.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading

PATIENCE = 60.0


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
            stdout=sys.stderr,  # Our standard output is only for the process id.
            start_new_session=True,  # Ctrl+C is for the run; we stop the command.
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
    # Not sys.stdin: a thread that waits in it would hold its lock when the interpreter exits.
    while os.read(0, 1024):
        pass
    process.send_signal(request)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        _kill_group(process.pid)


def _kill_group(group: int) -> None:
    """Kill what the command left behind; its session and group contain nothing else."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


if __name__ == "__main__":
    sys.exit(main())
