"""The process of the store's pages: one link to the agent, one small web server."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request
from nicegui import ui

from contracts.clock import Clock, SystemClock, clock_from_env
from edge.desk.client import DeskClient
from edge.pages.home import home_page
from edge.pages.kiosk import kiosk_page
from edge.pages.staff import staff_page
from look import serve_pages

log = logging.getLogger("zhanggui.pages")


class PortInUseError(Exception):
    """The pages cannot listen; the message is one sentence that says where and what to do."""


def mount(app: FastAPI, client: DeskClient, *, clock: Clock, pace: Clock, title: str) -> None:
    """Add the store's pages to `app`. Once a process: the page library keeps its routes for ever.

    `clock`: store time, in which presence lapses; `pace`: real time, in which people read.
    """

    seats: dict[str, str] = {}

    @ui.page("/")
    def home(request: Request) -> None:
        home_page(request, client, title)

    @ui.page("/kiosk/{cabinet}")
    def kiosk(request: Request, cabinet: str) -> None:
        kiosk_page(request, client, pace=pace, title=title, cabinet=cabinet)

    @ui.page("/staff")
    def staff(request: Request) -> None:
        staff_page(request, client, clock=clock, pace=pace, title=title, seats=seats)

    serve_pages(app)


def run(desk_socket: Path, host: str, port: int, title: str) -> None:
    """Serve the pages until interrupted; the agent may start later, stop and come back. Raises PortInUseError."""
    asyncio.run(serve(desk_socket, host, port, title))


async def serve(desk_socket: Path, host: str, port: int, title: str) -> None:
    """As `run`, in a running loop."""
    listener = _listen(host, port)
    pace = SystemClock()
    client = DeskClient(desk_socket, pace)  # a line's silence is real time, whatever the store's clock says
    app = FastAPI(title=title, docs_url=None, redoc_url=None, openapi_url=None)
    mount(app, client, clock=clock_from_env(), pace=pace, title=title)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on", ws_max_size=1 << 20))
    log.info("pages at http://%s:%d/", host, port)
    async with asyncio.TaskGroup() as group:
        following = group.create_task(client.run(), name="pages.desk")
        await server.serve(sockets=[listener])
        following.cancel()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(
                f"port {port} on {host} is in use; stop what listens there, or choose another port"
            ) from error
        raise PortInUseError(f"the pages cannot listen on {host} port {port}: {error.strerror}") from error
    listener.setblocking(False)
    return listener
