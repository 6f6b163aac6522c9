"""One racer of a race: a separate process that sends a request at the instant it is told.

It runs as a plain script with the standard library alone, so that eight of them start at once. Each line on standard
input is a task as JSON; each line on standard output is its outcome. It ends when its input ends.
"""

import http.client
import json
import sys
import time

FORM = "application/x-www-form-urlencoded"
# A busy server refuses requests unread, and asks clients to come again.
BUSY = 503
PATIENCE, PAUSE = 30.0, 0.05


def attempt(task: dict[str, str | int | float]) -> dict[str, str | int | float]:
    """Send the request at its instant, and again while the server is too busy to read it."""
    outcome = send(task)
    while outcome["status"] == BUSY and time.monotonic() < float(task["at"]) + PATIENCE:
        time.sleep(PAUSE)
        outcome = {**send(task), "late": outcome["late"]}
    return outcome


def send(task: dict[str, str | int | float]) -> dict[str, str | int | float]:
    """Connect, wait for the instant, send the request, and read the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", int(task["port"]), timeout=60)
    connection.connect()
    headers = {
        "Content-Type": str(task.get("type", FORM)),
        "Origin": f"http://127.0.0.1:{task['port']}",
        **{name: str(task[key]) for name, key in HEADERS.items() if key in task},
    }
    at = float(task["at"])
    # Sleep instead of polling the clock: there may be fewer processors than racers.
    time.sleep(max(0.0, at - time.monotonic()))
    sent = time.monotonic()
    method, path = str(task.get("method", "POST")), str(task.get("path", "/appointments"))
    connection.request(method, path, str(task["body"]).encode(), headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    is_page = "json" not in (answer.getheader("Content-Type") or "")
    return {
        "status": answer.status,
        "location": answer.getheader("Location") or "",
        "late": sent - at,
        "took": time.monotonic() - sent,
        "text": "" if is_page and answer.status in {303, 409} else text[:2000].decode(errors="replace"),
    }


# The header that each of these parts of a task becomes.
HEADERS = {"Cookie": "cookie", "Authorization": "token", "Idempotency-Key": "key"}


def main() -> None:
    """Run the task on each line of the input."""
    for line in sys.stdin:
        try:
            outcome = attempt(json.loads(line))
        except (OSError, http.client.HTTPException) as error:
            outcome = {"status": 0, "location": "", "late": 0.0, "took": 0.0, "text": repr(error)}
        print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    main()
