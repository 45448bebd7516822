"""A serial server that passes bytes on over TCP, as a `Link`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Sequence
from typing import Any

from device_drivers.descriptor_link import DescriptorLink
from device_drivers.errors import MisconfiguredError, UnavailableError
from device_drivers.exchange import Link

CONNECT_WITHIN_S = 5.0
# A server that lost its power says nothing: the system asks after it, so that a silent line is found lost.
KEEPALIVE = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))


class TcpLink(DescriptorLink):
    """One connection."""

    def __init__(self, connection: socket.socket, name: str) -> None:
        self._connection = connection
        super().__init__(connection.fileno(), name)

    def _give_back(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.close()


async def open_tcp(host: str, port: int) -> Link:
    """Connect. Raises UnavailableError if nobody answers, MisconfiguredError for a host that no name server knows."""
    loop, name = asyncio.get_running_loop(), f"tcp://{host}:{port}"
    try:
        async with asyncio.timeout(CONNECT_WITHIN_S):
            places = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            connection = await _connected(loop, places)
    except TimeoutError:
        raise UnavailableError(f"{name}: no answer within {CONNECT_WITHIN_S:g} s") from None
    except socket.gaierror as error:
        raise MisconfiguredError(f"{name}: {error.strerror}") from None
    except OSError as error:
        raise UnavailableError(f"{name}: {os.strerror(error.errno) if error.errno else error}") from None
    return TcpLink(connection, name)


async def _connected(
    loop: asyncio.AbstractEventLoop,
    places: Sequence[tuple[int, int, int, str, Any]],
) -> socket.socket:
    refused: OSError | None = None
    for kind, type_, protocol, _, address in places:
        connection = socket.socket(kind, type_, protocol)
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a frame goes at once
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in KEEPALIVE:
                connection.setsockopt(socket.IPPROTO_TCP, option, value)
            await loop.sock_connect(connection, address)
        except OSError as error:
            connection.close()
            refused = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise refused or OSError("the name stands for no address")
