"""A client that books one appointment after another over HTTP, and how long that takes."""

from __future__ import annotations

import http.client
import time
from datetime import timedelta
from urllib.parse import urlencode

from bench.contest import Arena

# 25 bookings a second.
PACE = 0.04


def place_of(arena: Arena, number: int) -> tuple[str, str]:
    """The doctor and start of the appointment with this number; no two numbers share them."""
    start = arena.first + timedelta(hours=number // len(arena.slugs))
    return arena.slugs[number % len(arena.slugs)], f"{start:%Y-%m-%dT%H:%M:%SZ}"


class BookingClient:
    """Books one appointment after another over HTTP, each for another patient at another time."""

    def __init__(self, arena: Arena, port: int) -> None:
        self.arena = arena
        self.port = port
        self.connection: http.client.HTTPConnection | None = None

    def book(self, number: int) -> str:
        """Book the appointment with this number and return its reference.

        Raises:
                OSError, HTTPException: the server did not answer; the appointment may be booked or not.
        """
        doctor, starts_at = place_of(self.arena, number)
        form = {"doctor": doctor, "visit_type": self.arena.kinds[30], "starts_at": starts_at}
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": self.arena.cookies[number % len(self.arena.cookies)],
            "Origin": f"http://127.0.0.1:{self.port}",
        }
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            self.connection.request("POST", "/appointments", urlencode(form), headers)
            answer = self.connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        location = answer.getheader("Location") or ""
        assert answer.status == 303, f"Booking {number} was answered with {answer.status}."
        return location.removeprefix("/appointments/").partition("?")[0]

    def close(self) -> None:
        """Close the connection."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def time_bookings(arena: Arena, port: int, numbers: range) -> list[float]:
    """Book an appointment every `PACE` seconds, which is more than any clinic does; the seconds that each took."""
    client = BookingClient(arena, port)
    times = []
    for number in numbers:
        began = time.perf_counter()
        client.book(number)
        times.append(time.perf_counter() - began)
        time.sleep(max(0.0, PACE - times[-1]))
    client.close()
    return times
