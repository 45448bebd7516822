"""A simulated network camera on two TCP ports: RTSP (RFC 2326, JPEG over RTP inside the connection), and HTTP with an
MJPEG stream and ONVIF.

Frames come from a function of their number and are sent when `pace` lets them go, so that a test moves the camera by
hand and a demo by the clock. Everybody who plays gets the frames from the moment they begin.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import lru_cache
from ssl import SSLContext

from simulators.hardware.network_camera_faults import CameraFaults
from simulators.hardware.network_camera_http import ONVIF_PATHS, Asked, OnvifDevice, answer, read_request
from simulators.hardware.network_camera_jpeg import Image, jpeg, payloads, rtp, taken_apart
from simulators.hardware.network_camera_login import Doorman

RTSP_PATH, MJPEG_PATH = "/entrance", "/video.mjpg"
TICKS_A_FRAME = 3600  # of 90 kHz: 25 frames a second
_METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"
_BOUNDARY = "frameborder"


class NetworkCamera:
    """`frame(n)` is the n-th picture of a connection (BGR, sides multiples of 16); `pace(n)` returns when it may go."""

    def __init__(
        self,
        frame: Callable[[int], Image],
        pace: Callable[[int], Awaitable[None]],
        *,
        user: str = "",
        password: str = "",
        tls: SSLContext | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """With `tls` both ports speak it, as rtsps and https."""
        self._pace, self._now, self._tls = pace, now, tls
        self._jpeg = lru_cache(maxsize=64)(lambda number: jpeg(frame(number)))
        self.faults = CameraFaults()
        self.doorman = Doorman(user, password)
        self.onvif = OnvifDevice(self.doorman, stream="", media="", asked=[])
        self.rtsp_port = self.http_port = 0
        self.requests: list[str] = []
        self.sent = 0
        """Frames sent whole on the connection that began last."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[NetworkCamera]:
        """Listen on two free ports of this machine."""
        rtsp = await asyncio.start_server(self._rtsp, "127.0.0.1", 0, ssl=self._tls)
        http = await asyncio.start_server(self._http, "127.0.0.1", 0, ssl=self._tls)
        self.rtsp_port, self.http_port = (s.sockets[0].getsockname()[1] for s in (rtsp, http))
        self.onvif.stream = f"rtsp://127.0.0.1:{self.rtsp_port}{RTSP_PATH}"
        self.onvif.media = f"http://127.0.0.1:{self.http_port}/onvif/Media"
        try:
            yield self
        finally:
            rtsp.close()
            http.close()
            self.hang_up()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await rtsp.wait_closed()
            await http.wait_closed()

    def hang_up(self) -> None:
        """The network cable is out: every connection is gone."""
        for task in list(self._tasks):
            task.cancel()
        for writer in list(self._writers):
            writer.transport.abort()

    @asynccontextmanager
    async def _connection(self, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            yield
        except (ConnectionError, asyncio.CancelledError):
            pass  # the viewer is gone, or the test is over
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.transport.abort()

    def _knows(self, asked: Asked) -> bool:
        if self.faults.refuse_login:
            return False
        return self.doorman.lets_in(asked.method, asked.headers.get("authorization", ""))

    # ------------------------------------------------------------------ RTSP

    async def _rtsp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self._connection(writer), asyncio.TaskGroup() as group:
            if self.faults.close == "accepting":
                return
            channel, playing = 0, None
            while (asked := await read_request(reader)) is not None:
                self.requests.append(asked.method)
                headers = {"CSeq": asked.headers.get("cseq", "0"), "Session": "12345678"}

                def say(status: str, more: dict[str, str], body: bytes = b"", first: dict[str, str] = headers) -> None:
                    writer.write(answer("RTSP/1.0", status, {**first, **more}, body))

                if asked.method == "TEARDOWN" and self.faults.hang_on_teardown:
                    await asyncio.Event().wait()
                if asked.method == "OPTIONS":
                    say("200 OK", {"Public": _METHODS})
                elif not self._knows(asked):
                    say("401 Unauthorized", {"WWW-Authenticate": self.doorman.challenge()})
                elif asked.method == "DESCRIBE" and self.faults.redirect:
                    say("302 Moved Temporarily", {"Location": self.faults.redirect})
                elif asked.method == "DESCRIBE":
                    sdp = self._sdp()
                    say("200 OK", {"Content-Type": "application/sdp", "Content-Length": str(len(sdp))}, sdp)
                elif asked.method == "SETUP":
                    transport = asked.headers.get("transport", "")
                    if "RTP/AVP/TCP" not in transport:
                        say("461 Unsupported Transport", {})
                        continue
                    channel = int(transport.partition("interleaved=")[2].partition("-")[0] or "0")
                    say("200 OK", {"Transport": f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}"})
                elif asked.method == "PLAY":
                    say("200 OK", {"Range": "npt=0.000-"})
                    if self.faults.close == "playing":
                        await writer.drain()
                        return
                    playing = playing or group.create_task(self._play_rtp(writer, channel))
                elif asked.method in {"GET_PARAMETER", "TEARDOWN"}:
                    say("200 OK", {})
                else:
                    say("405 Method Not Allowed", {"Allow": _METHODS})
                await writer.drain()
                if asked.method == "TEARDOWN":
                    break
            if playing is not None:
                playing.cancel()

    def _sdp(self) -> bytes:
        lines = (
            *("v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=entrance", "t=0 0", "a=control:*"),
            *("m=video 0 RTP/AVP 26", "c=IN IP4 0.0.0.0", "a=rtpmap:26 JPEG/90000", "a=framerate:25"),
            "a=control:track1",
        )
        return ("\r\n".join(lines) + "\r\n").encode()

    async def _play_rtp(self, writer: asyncio.StreamWriter, channel: int) -> None:
        number = sequence = self.sent = 0
        source = random.getrandbits(32)
        while True:
            await self._pace(number)
            parts = payloads(taken_apart(self._picture(number)))
            for i, part in enumerate(parts):
                if number == self.faults.stall_at and i >= len(parts) // 2:
                    await asyncio.Event().wait()
                packet = rtp(
                    part, sequence=sequence, ticks=number * TICKS_A_FRAME, source=source, last=i == len(parts) - 1
                )
                framed = b"$" + bytes((channel,)) + len(packet).to_bytes(2, "big") + packet
                writer.write(random.randbytes(len(framed)) if self.faults.noise else framed)
                sequence += 1
            await writer.drain()
            await asyncio.sleep(0)  # a line that never fills keeps nobody else waiting
            number += 1
            self.sent = number

    def _picture(self, number: int) -> bytes:
        picture = self._jpeg(number)
        if self.faults.garbage_every and number % self.faults.garbage_every == self.faults.garbage_every - 1:
            scan = taken_apart(picture)
            head = len(picture) - 2 - len(scan.data)
            return picture[:head] + b"\xff\xfe" * (len(scan.data) // 2) + picture[-2:]
        return picture

    # ------------------------------------------------------------------ HTTP

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self._connection(writer):
            if self.faults.close == "accepting":
                return
            while (asked := await read_request(reader)) is not None:
                self.requests.append(asked.method)
                path = asked.target.partition("?")[0]
                if asked.method == "POST" and path in ONVIF_PATHS:
                    status, body = self.onvif.handle(asked, self._now())
                    head = {"Content-Type": "application/soap+xml", "Content-Length": str(len(body))}
                    writer.write(answer("HTTP/1.1", status, head, body))
                elif not self._knows(asked):
                    head = {"WWW-Authenticate": self.doorman.challenge(), "Content-Length": "0"}
                    writer.write(answer("HTTP/1.1", "401 Unauthorized", head))
                elif path == MJPEG_PATH and self.faults.redirect:
                    head = {"Location": self.faults.redirect, "Content-Length": "0"}
                    writer.write(answer("HTTP/1.1", "302 Found", head))
                elif path == MJPEG_PATH:
                    await self._play_mjpeg(writer)
                    return
                else:
                    writer.write(answer("HTTP/1.1", "404 Not Found", {"Content-Length": "0"}))
                await writer.drain()

    async def _play_mjpeg(self, writer: asyncio.StreamWriter) -> None:
        head = {"Content-Type": f"multipart/x-mixed-replace; boundary={_BOUNDARY}", "Connection": "close"}
        writer.write(answer("HTTP/1.1", "200 OK", head))
        if self.faults.close == "playing":
            await writer.drain()
            return
        number = self.sent = 0
        while True:
            await self._pace(number)
            picture = self._picture(number)
            part = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n".encode()
            if number == self.faults.stall_at:
                writer.write(part + picture[: len(picture) // 2])
                await asyncio.Event().wait()
            whole = part + picture + b"\r\n"
            writer.write(random.randbytes(len(whole)) if self.faults.noise else whole)
            await writer.drain()
            await asyncio.sleep(0)  # a line that never fills keeps nobody else waiting
            number += 1
            self.sent = number
