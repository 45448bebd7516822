"""ONVIF: the published digest, the talk with its refusals, and real HTTP with a simulated camera."""

import base64
import hashlib
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.camera import soap
from device_drivers.camera.onvif import find_stream
from device_drivers.camera.stream_uri import Request, talk
from device_drivers.camera.url import CameraUrl, Login
from device_drivers.errors import DeviceError, MisconfiguredError, ProtocolError, RefusedError, UnavailableError
from simulators.hardware.network_camera_http import Asked, OnvifDevice
from simulators.hardware.network_camera_login import Doorman
from tests.edge_vision.network_bench import camera

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("nonce", "created", "password", "digest"),
    [
        # ONVIF Application Programmer's Guide, "Authentication"
        ("LKqI6G/AikKCQrN0zqZFlg==", "2010-09-16T07:50:45Z", "userpassword", "tuOSpGlFlIXsozq4HFNeeGeFLEI="),
    ],
)
def test_the_digest_of_the_guide(nonce, created, password, digest):
    assert soap.password_digest(base64.b64decode(nonce), created, password) == digest


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the second way is OpenSSL's own")
def test_the_digest_by_another_program():
    nonce, created, password = bytes(range(16)), "2026-05-04T03:02:01Z", "密码 with blanks"
    raw = nonce + created.encode() + password.encode()
    done = subprocess.run(["openssl", "dgst", "-sha1", "-binary"], input=raw, capture_output=True, check=True)
    assert soap.password_digest(nonce, created, password) == base64.b64encode(done.stdout).decode()


# ------------------------------------------------------------------ the talk, without a network

HOST = "10.0.0.9"


class Device:
    """Answers a talk; the nonces are numbered, so that a repeated one would be noticed by the camera."""

    def __init__(self, *, user="amy", password="s3cret", clock_off=timedelta(0), **says) -> None:
        stream = says.pop("stream", f"rtsp://{HOST}:554/live/1?x=y")
        media = says.pop("media", f"http://{HOST}/onvif/Media")
        self.onvif = OnvifDevice(Doorman(user, password), stream=stream, media=media, asked=[], **says)
        self.clock_off, self.nonces, self.requests = clock_off, iter(range(1000)), []

    def find(self, url: str, change=lambda what, status, body: (status, body)) -> CameraUrl:
        steps = talk(CameraUrl.parse(url), wall=lambda: NOW, nonce=lambda: next(self.nonces).to_bytes(16, "big"))
        request = next(steps)
        try:
            while True:
                self.requests.append(request)
                asked = Asked("POST", request.path, {}, request.body)
                status, body = self.onvif.handle(asked, NOW + self.clock_off)
                request = steps.send(change(self.onvif.asked[-1], int(status[:3]), body))
        except StopIteration as done:
            return done.value


def test_four_questions_and_the_address_with_our_login():
    device = Device()
    found = device.find(f"onvif://amy:s3cret@{HOST}")
    assert found.secret() == f"rtsp://amy:s3cret@{HOST}:554/live/1?x=y"
    assert device.onvif.asked == ["GetSystemDateAndTime", "GetCapabilities", "GetProfiles", "GetStreamUri"]
    assert [r.path for r in device.requests] == ["/onvif/device_service"] * 2 + ["/onvif/Media"] * 2
    assert b"s3cret" not in b"".join(r.body for r in device.requests)
    assert "s3cret" not in repr(device.requests)


@pytest.mark.parametrize("days", [-9000, -1, 0, 400])
def test_a_camera_that_lives_in_another_year_lets_us_in(days):
    assert Device(clock_off=timedelta(days=days, seconds=7)).find(f"onvif://amy:s3cret@{HOST}").host == HOST


def test_the_first_question_carries_no_login_and_each_other_a_fresh_nonce():
    device = Device()
    device.find(f"onvif://amy:s3cret@{HOST}")
    bodies = [r.body.decode() for r in device.requests]
    assert "UsernameToken" not in bodies[0]
    nonces = {body.partition("Nonce ")[2].partition(">")[2].partition("<")[0] for body in bodies[1:]}
    assert len(nonces) == 3


@pytest.mark.parametrize(
    ("wanted", "token"),
    [("", "profile_1"), ("profile_2", "profile_2"), ("subStream", "profile_2")],  # first; by token; by name
)
def test_a_profile_is_chosen(wanted, token):
    device = Device()
    device.find(f"onvif://amy:s3cret@{HOST}/{wanted}")
    assert f"<ProfileToken>{token}</ProfileToken>".encode() in device.requests[-1].body


@pytest.mark.parametrize(
    ("media", "port", "path"),
    [
        (f"http://{HOST}:8080/onvif/Media", 8080, "/onvif/Media"),  # another port of the same host
        ("http://192.168.1.2:81/onvif/Media", 80, "/onvif/Media"),  # what it calls itself behind a router
    ],
)
def test_the_media_service_is_on_the_host_that_was_named(media, port, path):
    device = Device(media=media)
    device.find(f"onvif://amy:s3cret@{HOST}")
    assert {(r.port, r.path) for r in device.requests[2:]} == {(port, path)}


@pytest.mark.parametrize(
    ("stream", "error", "says"),
    [
        ("rtsp://10.0.0.66/live", MisconfiguredError, "add \\?stream_host=10.0.0.66"),  # another host gets no login
        ("rtsp://10.0.0.9.evil.example/live", MisconfiguredError, "stream_host="),
        ("rtsp://10.0.0.9@evil.example/live", MisconfiguredError, "stream_host=evil.example"),
        ("file:///etc/passwd", ProtocolError, "neither rtsp"),
        ("https://10.0.0.9/x", ProtocolError, "neither rtsp"),
        ("onvif://10.0.0.9/x", ProtocolError, "neither rtsp"),
        ("concat:rtsp://10.0.0.9/x", ProtocolError, "neither rtsp"),
        ("live/1", ProtocolError, "neither rtsp"),
        ("rtsp://10.0.0.9:0/x", ProtocolError, "is none"),
        ("rtsp://10.0.0.9/" + "x" * 1010, ProtocolError, "must be 1 to 1024"),
        ("", ProtocolError, "must be 1 to 1024"),
    ],
)
def test_an_address_that_is_not_believed(stream, error, says):
    with pytest.raises(error, match=says):
        Device(stream=stream).find(f"onvif://amy:s3cret@{HOST}")


def test_another_host_may_be_allowed_by_name():
    found = Device(stream="rtsp://10.0.0.66/live").find(f"onvif://amy:s3cret@{HOST}?stream_host=10.0.0.66")
    assert (found.host, found.login) == ("10.0.0.66", Login("amy", "s3cret"))


def test_a_login_that_the_camera_puts_in_is_not_taken():
    found = Device(stream=f"rtsp://root:root@{HOST}/live").find(f"onvif://amy:s3cret@{HOST}")
    assert found.login == Login("amy", "s3cret")
    assert Device(user="", stream=f"rtsp://root:root@{HOST}/live").find(f"onvif://{HOST}").login is None


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"onvif://amy:wrong@{HOST}", "refuses the login"),
        (f"onvif://{HOST}", "refuses the login"),
        (f"onvif://amy:s3cret@{HOST}/profile_9", "2 profiles, but not the one"),
    ],
)
def test_a_refusal(url, says):
    with pytest.raises(RefusedError, match=says):
        Device().find(url)


ENVELOPE = b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>%s</s:Body></s:Envelope>'


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((401, b"<html>"), RefusedError),
        ((200, b"<html>"), ProtocolError),
        ((200, b"<a/>"), ProtocolError),  # XML, and no envelope
        ((200, ENVELOPE % b""), ProtocolError),
        ((200, ENVELOPE % b"<a/><b/>"), ProtocolError),
        ((200, ENVELOPE % b"<a/>"), ProtocolError),  # nothing of what was asked for
        ((500, ENVELOPE % b"<a/>"), ProtocolError),
        ((302, b""), ProtocolError),
        ((200, b"<!DOCTYPE x>" + ENVELOPE % b"<a/>"), ProtocolError),
        ((200, ENVELOPE % (b"<a>" * 40 + b"</a>" * 40)), ProtocolError),
        ((200, ENVELOPE % (b"<a/>" * 9000)), ProtocolError),
        ((200, b" " * 300_000), ProtocolError),
    ],
)
@pytest.mark.parametrize("at", ["GetSystemDateAndTime", "GetCapabilities", "GetProfiles", "GetStreamUri"])
def test_a_reply_that_is_none(at, answer, error):
    with pytest.raises(error):
        Device().find(f"onvif://amy:s3cret@{HOST}", lambda what, *said: answer if what == at else said)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_reply_is_refused_or_read_and_never_more(data):
    """Bytes changed anywhere, in any reply: an address of the named host, or an error of ours."""

    def damaged(what, status, body):
        raw = bytearray(body)
        for _ in range(data.draw(st.integers(0, 3))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        return status, bytes(raw)

    try:
        said = Device().find(f"onvif://amy:s3cret@{HOST}", damaged)
    except DeviceError as error:
        said = error
    assert isinstance(said, DeviceError) or said.host == HOST
    assert "s3cret" not in str(said)


@pytest.mark.parametrize(
    "part",
    ["<tt:Month>13</tt:Month>", "<tt:Day>x</tt:Day>", "<tt:Year>99999</tt:Year>", "<tt:Hour>٣</tt:Hour>", "<tt:Year/>"],
)
def test_a_date_that_is_none(part):
    import re

    name = re.search(r"tt:\w+", part)[0]

    def changed(what, status, body):
        return status, re.sub(f"<{name}>.*?</{name}>", part, body.decode()).encode()

    with pytest.raises(ProtocolError, match="no date"):
        Device().find(f"onvif://amy:s3cret@{HOST}", changed)


def test_a_request_is_what_the_camera_can_check_without_our_code():
    """The header by hand: names, digest and time as the profile says."""
    raw = soap.envelope("<x/>", Login("a<b", "pw"), created=NOW, nonce=b"0123456789abcdef").decode()
    wanted = base64.b64encode(hashlib.sha1(b"0123456789abcdef2026-05-04T03:02:01Zpw").digest()).decode()
    assert f">{wanted}</Password>" in raw
    assert "<Username>a&lt;b</Username>" in raw
    assert repr(Request(80, "/", raw.encode())) == f"Request(80, {len(raw)} bytes)"


# ------------------------------------------------------------------ over HTTP


def test_a_real_talk_over_http():
    with camera(user="amy", password="p:ä@/") as there:
        url = CameraUrl.parse(f"onvif://127.0.0.1:{there.http_port}/profile_2").with_login(Login("amy", "p:ä@/"))
        found = find_stream(url)
        assert (found.host, found.port, found.tail) == ("127.0.0.1", there.rtsp_port, "/entrance")
        with pytest.raises(
            RefusedError, match=r"^camera onvif://127.0.0.1:[0-9]+: ONVIF: the camera refuses the login"
        ):
            find_stream(CameraUrl.parse(f"onvif://amy:wrong@127.0.0.1:{there.http_port}"))
        there.faults.close = "accepting"
        with pytest.raises(UnavailableError, match="no answer to ONVIF"):
            find_stream(url)
    with pytest.raises(UnavailableError, match=r"no answer to ONVIF .ConnectError."):
        find_stream(url)
