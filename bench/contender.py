"""One contender of a race: a process of its own that sends a booking at the instant it is told.

It is run as a plain script, with the standard library alone, so that eight of them start at once. Each line on
standard input is an attempt as JSON; each line on standard output is how it ended. It ends with its input.
"""

import http.client
import json
import sys
import time


def attempt(task: dict[str, str | int | float]) -> dict[str, str | int | float]:
    """Connect first, wait for the instant, send, and read the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", int(task["port"]), timeout=60)
    connection.connect()
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Cookie": str(task["cookie"]),
        "Origin": f"http://127.0.0.1:{task['port']}",
    }
    at = float(task["at"])
    # Sleep, and do not look at the clock in a loop: there may be fewer processors than contenders.
    time.sleep(max(0.0, at - time.monotonic()))
    sent = time.monotonic()
    connection.request("POST", "/appointments", str(task["body"]).encode(), headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return {
        "status": answer.status,
        "location": answer.getheader("Location") or "",
        "late": sent - at,
        "took": time.monotonic() - sent,
        "text": "" if answer.status in {303, 409} else text[:300].decode(errors="replace"),
    }


def main() -> None:
    """Try what each line asks for, until there are no more."""
    for line in sys.stdin:
        try:
            ended = attempt(json.loads(line))
        except (OSError, http.client.HTTPException) as error:
            ended = {"status": 0, "location": "", "late": 0.0, "took": 0.0, "text": repr(error)}
        print(json.dumps(ended), flush=True)


if __name__ == "__main__":
    main()
