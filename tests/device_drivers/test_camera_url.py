"""The address of a camera: what it takes, what it refuses, and that nothing it prints depends on who logs in."""

from functools import cache
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.camera.login_file import MAX_BYTES, read_login
from device_drivers.camera.schemes import schemes
from device_drivers.camera.url import MAX_LOGIN_CHARS, MAX_URL_CHARS, CameraUrl, Login
from device_drivers.errors import MisconfiguredError


@pytest.mark.parametrize(
    ("text", "shown", "host", "port", "login"),
    [
        ("rtsp://10.0.0.9/h264", "rtsp://10.0.0.9:554/…", "10.0.0.9", 554, None),  # its usual port
        ("rtsps://cam.shop:8322/x", "rtsps://cam.shop:8322/…", "cam.shop", 8322, None),
        ("rtsps://cam.shop", "rtsps://cam.shop:322", "cam.shop", 322, None),
        ("http://cam/video.mjpg?user=a&pwd=b", "http://cam:80/…", "cam", 80, None),  # a password in a query
        ("https://CAM/v", "https://cam:443/…", "cam", 443, None),
        ("rtsp://[fe80::1]:554/1", "rtsp://[fe80::1]:554/…", "fe80::1", 554, None),
        ("rtsp://amy:s3cret@cam/1", "rtsp://cam:554/…", "cam", 554, ("amy", "s3cret")),
        ("rtsp://amy@cam/1", "rtsp://cam:554/…", "cam", 554, ("amy", "")),  # without a password
        ("rtsp://amy:a%3Ab%40c%2Fd@cam/1", "rtsp://cam:554/…", "cam", 554, ("amy", "a:b@c/d")),
        ("rtsp://amy:a:b@cam/1", "rtsp://cam:554/…", "cam", 554, ("amy", "a:b")),  # a colon may stand in a password
        ("RTSP://amy:x@CAM/1", "rtsp://cam:554/…", "cam", 554, ("amy", "x")),
        ("onvif://cam", "onvif://cam:80", "cam", 80, None),
        ("onvif://a:b@cam:8000/profile_1", "onvif://cam:8000/…", "cam", 8000, ("a", "b")),
        ("clips/entrance.mp4", "clips/entrance.mp4", "", 0, None),
        ("file:///clips/entrance.mp4?once=1", "file:///clips/entrance.mp4?once=1", "", 0, None),
        ("sim://entrance?seed=7", "sim://entrance?seed=7", "", 0, None),
        ("mine://where", "mine://where", "", 0, None),  # of another package
    ],
)
def test_an_address_and_what_is_shown_of_it(text, shown, host, port, login):
    url = CameraUrl.parse(text)
    assert (str(url), url.host, url.port) == (shown, host, port)
    assert url.login == (Login(*login) if login else None)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("rtsp://amy:a%3Ab%40c%2Fd@cam/1?x=y", "rtsp://amy:a%3Ab%40c%2Fd@cam:554/1?x=y"),
        ("rtsp://amy:p%C3%A4ss@cam:99/1", "rtsp://amy:p%C3%A4ss@cam:99/1"),
        ("http://cam/v", "http://cam:80/v"),
        ("sim://entrance", "sim://entrance"),
        ("a.mp4", "a.mp4"),
    ],
)
def test_who_opens_it_gets_it_whole(text, whole):
    assert CameraUrl.parse(text).secret() == whole
    assert CameraUrl.parse(whole) == CameraUrl.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",  # nothing
        "rtsp://cam/" + "x" * MAX_URL_CHARS,  # without end
        "rtsp://cam/a\nb",  # a second line for a log
        "rtsp:///path",  # no host
        "rtsp:cam/1",  # no slashes
        "rtsp://cam:0/1",
        "rtsp://cam:70000/1",
        "rtsp://cam:port/1",
        "rtsp://ca m/1",
        "rtsp://cam;x/1",
        "rtsp://-cam/1",  # FFmpeg would not mind, others take it for an option
        "rtsp://amy:pa/ss@cam/1",  # an open slash ends the host: `pa` would be the port
        "rtsp://amy:12/34@cam/1",  # … and 12 is even a good one
        "rtsp://amy:12?34@cam/1",
        "rtsp://amy:12#34@cam/1",
        "rtsp://amy:1@2@cam/1",  # which of them ends the login?
        "rtsp://:secret@cam/1",  # nobody with a password
        "rtsp://a%3Ab:x@cam/1",  # Basic and Digest cannot say a colon in a user
        "rtsp://amy:%ff%fe@cam/1",  # no text
        "rtsp://amy:%0d%0aX@cam/1",  # a header of one's own
        "rtsp://amy:" + "x" * (MAX_LOGIN_CHARS + 1) + "@cam/1",
        "rtsp://[::1/1",  # half a bracket
        "onvif://cam/p?host=x",  # a parameter that nobody knows
        "onvif://cam/p?stream_host=",
        "onvif://cam/p?stream_host=a/b",
    ],
)
def test_an_address_that_is_none(text):
    with pytest.raises(MisconfiguredError) as caught:
        CameraUrl.parse(text)
    assert caught.value.__cause__ is None
    assert str(caught.value).startswith("camera")


def test_onvif_names_a_profile_and_another_host():
    url = CameraUrl.parse("onvif://cam/main%20stream?stream_host=10.0.0.9")
    assert (url.profile, url.stream_host) == ("main stream", "10.0.0.9")
    assert CameraUrl.parse("onvif://cam/").profile == ""


# ------------------------------------------------------------------ who logs in is never shown

# Well formed, and broken in every way that puts a login where it does not belong.
SHAPES = (
    "rtsp://{u}:{p}@cam/1",
    "rtsps://{u}:{p}@cam:8554/1",
    "http://{u}:{p}@cam/v",
    "onvif://{u}:{p}@cam/profile",
    "onvif://{u}:{p}@cam/profile?nonsense=1",
    "rtsp://{u}:{p}@cam:99999/1",
    "rtsp://{u}:{p}@",
    "rtsp:{u}:{p}@cam",
    "rtsp:/{u}:{p}@cam",
    "rtsp://cam/user={u}&password={p}",
    "rtsp://cam/1?user={u}&password={p}",
    "mine://{u}:{p}@cam",
    "rtsp//{u}:{p}@cam",
)
LOGINS = st.text(st.characters(codec="utf-8"), max_size=12)


def everything_said(text: str) -> list[str]:
    """All that an address says of itself, whether it is one or not."""
    try:
        url = CameraUrl.parse(text)
        said = [str(url), repr(url), f"{url}", f"{url:>40}", "%s" % (url,), repr([url]), repr({"at": url})]  # noqa: UP031
        try:
            url.with_login(Login("other", "login"))
        except MisconfiguredError as error:
            said += [str(error), repr(error)]
    except MisconfiguredError as error:
        said = [str(error), repr(error), *(str(x) for x in error.args)]
    return said


def encoded(shape: str, user: str, password: str) -> str:
    return shape.format(u=quote(user, safe=""), p=quote(password, safe=""))


# One login of each kind that a message may tell from another: good, empty, unprintable, a colon, too long.
KINDS = [(user, password) for user in ("u", "", "\n", "a:b", "u" * 200) for password in ("p", "", "\n", "p" * 200)]
KINDS += [("u" * 1100, "p")]  # … and an address that is too long


@cache
def of_each_kind(shape: str) -> list[list[str]]:
    return [everything_said(encoded(shape, *kind)) for kind in KINDS]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SHAPES), LOGINS, LOGINS)
def test_nothing_that_is_said_depends_on_who_logs_in(shape, user, password):
    """Not one letter: what is said is what is said of another login of the same kind."""
    said = everything_said(encoded(shape, user, password))
    assert said in of_each_kind(shape)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(SHAPES),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=8),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=8),
)
def test_no_mark_of_a_login_comes_out(shape, before, after):
    """Unescaped as people paste it, with marks inside that no message of ours holds."""
    text = shape.format(u=f"{before}Qx7uSer{after}", p=f"{before}Zk9pAss{after}")
    said = " ".join(everything_said(text)).lower()
    assert "qx7user" not in said
    assert "zk9pass" not in said


def test_a_login_prints_itself_as_nothing():
    login = Login("amy", "s3cret")
    assert [str(login), repr(login), f"{login}"] == ["Login(…)"] * 3


# ------------------------------------------------------------------ a login in a file


@pytest.mark.parametrize(
    ("raw", "user", "password"),
    [
        (b"amy:s3cret\n", "amy", "s3cret"),
        (b"amy:s3cret", "amy", "s3cret"),  # without an end
        (b"amy:a:b@c/d %41\r\n", "amy", "a:b@c/d %41"),  # nothing is encoded there
        (b"amy:\n", "amy", ""),
        ("经理:密码\n".encode(), "经理", "密码"),
    ],
)
def test_a_login_out_of_a_file(tmp_path, raw, user, password):
    path = tmp_path / "login"
    path.write_bytes(raw)
    path.chmod(0o600)
    assert CameraUrl.parse("rtsp://cam/1").with_login(read_login(path)).login == Login(user, password)


@pytest.mark.parametrize(
    ("raw", "mode", "says"),
    [
        (b"zk9user:zk9pass\n", 0o644, "chmod 600"),  # everybody may read it
        (b"zk9user:zk9pass\n", 0o640, "chmod 600"),  # so may a group
        (b"zk9user\n", 0o600, "one line, user:password"),
        (b"zk9user:zk9pass\nmore\n", 0o600, "one line"),
        (b"zk9user:\xff\xfe\n", 0o600, "one line"),
        (b"zk9user:" + b"x" * MAX_BYTES, 0o600, "one line"),
        (b":zk9pass\n", 0o600, "must not be empty"),
        (b"zk9user:\x00zk9pass\n", 0o600, "printable"),
    ],
)
def test_a_file_that_holds_no_login(tmp_path, raw, mode, says):
    path = tmp_path / "login"
    path.write_bytes(raw)
    path.chmod(mode)
    with pytest.raises(MisconfiguredError, match=says) as caught:
        read_login(path)
    assert "zk9" not in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(MisconfiguredError, match="No such file"):
        read_login(tmp_path / "none")


@pytest.mark.parametrize("text", ["rtsp://amy:x@cam/1", "clip.mp4", "sim://entrance"])
def test_a_login_more_than_is_needed(text):
    with pytest.raises(MisconfiguredError):
        CameraUrl.parse(text).with_login(Login("a", "b"))


def test_every_scheme_is_named():
    assert {"file", "rtsp", "rtsps", "http", "https", "onvif", "sim"} <= set(schemes())
