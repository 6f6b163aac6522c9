"""`docket serve` and `docket worker`: they run until they are stopped."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress

import click
from sqlalchemy.exc import DBAPIError

from webapp.commands.places import own_address, url_of_existing
from webapp.config import Settings


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port to listen on.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Number of server processes.")
@click.option("--worker/--no-worker", "delivers", default=True, show_default=True, help="Also deliver messages.")
def serve(host: str, port: int, workers: int, delivers: bool) -> None:
    """Serve the web pages and deliver messages until stopped."""
    from webapp.serving.processes import serve as serve_pages
    from webapp.serving.worker_beside import worker_beside

    settings = Settings()
    _warn_of_schema()
    # uvicorn raises the signal that stopped it once more; without a handler the worker beside it would not be stopped.
    signal.signal(signal.SIGTERM, lambda *_signal: sys.exit(0))
    with listen_at(host, port) as listening, _figures(settings):
        click.echo(f"Docket runs at {own_address(host, port)} (stop with Ctrl-C).")
        with worker_beside(settings.base_url or own_address(host, port)) if delivers else nullcontext():
            serve_pages(listening, workers=workers)


@click.command()
def worker() -> None:
    """Deliver messages and write reminders until stopped; several may run at once.

    `docket serve` does so by itself. A separate worker is for clinics where several servers answer, each started with
    --no-worker.
    """
    from webapp.serving.memory import tune_garbage_collector
    from webapp.worker import run_worker

    settings = Settings()
    _warn_of_schema()
    tune_garbage_collector()
    click.echo("Docket delivers messages (stop with Ctrl-C).")
    with _figures(settings):
        run_worker(settings.base_url or own_address("localhost", 8000))


@contextmanager
def _figures(settings: Settings) -> Iterator[None]:
    """Let all processes of this server count in one folder, and serve the metrics, if the settings ask for them."""
    if not settings.metrics_port and not settings.metrics_token:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="docket-metrics-") as folder:
        # The library reads it when it is imported, here and in the processes that are started.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        if settings.metrics_place is None:
            yield
            return
        from webapp.event_handlers import wired_database
        from webapp.metrics import served

        database = wired_database(settings.database_url, patience=2)
        with served(*settings.metrics_place, database):
            yield
        database.dispose()


def listen_at(host: str, port: int) -> socket.socket:
    """The socket to answer at. If it cannot be had, say why and who has it, before anything is started."""
    from webapp.serving.ports import listening_processes
    from webapp.serving.processes import listen

    try:
        return listen(host, port)
    except OSError as error:
        why = (error.strerror or str(error)).partition(" (")[0]
        holder = next(
            (f" It is used by process {each.pid}: {each.command[:80]}." for each in listening_processes(port)), ""
        )
        message = (
            f"Port {port} of {host} cannot be used: {why}.{holder} Choose another one with --port (make run: PORT=)."
        )
        raise click.ClickException(message) from error


def _warn_of_schema() -> None:
    """Explain a wrong schema before the first error. The database may also become reachable later."""
    from webapp import migrations
    from webapp.database import Database

    # Without event handlers, which bring most of Docket along: this process may only start others.
    database = Database(url_of_existing())
    with suppress(DBAPIError):
        if wrong := migrations.schema_problem(migrations.find_revision(database)):
            click.echo(f"Warning: {wrong}", err=True)
    database.dispose()
