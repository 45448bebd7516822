"""A camera in `store.toml`: which addresses it takes, and that no refusal of the file repeats who logs in."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.config import CameraConfig, ConfigError, load_store

STORE = """
tenant = "t1"
store = "s1"
name_zh = "店"
name_en = "Shop"
data_dir = "data"
member_key_file = "member.key"
[cloud]
url = "mqtt://localhost:1883"
[[device]]
kind = "camera"
id = "front"
"""


def camera(**values) -> CameraConfig:
    return CameraConfig(kind="camera", id="front", **values)


@pytest.mark.parametrize(
    "source",
    [
        "rtsp://10.0.0.9/1",
        "rtsps://amy:s3cret@cam:322/1",
        "http://cam/video.mjpg",
        "https://cam/video.mjpg",
        "onvif://cam/profile_1",
        "entrance.mp4",
        "file:///clips/entrance.mp4?once=1",
        "sim://entrance?seed=7",
    ],
)
def test_an_address_of_a_camera(source):
    assert camera(source=source).source == source
    assert "s3cret" not in repr(camera(source=source))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"source": "cam://10.0.0.9"}, "no camera source has this scheme"),
        ({"source": "rtsp://"}, "must be rtsp://"),
        ({"source": ""}, "1 to 1024"),
        ({"source": "rtsp://cam/1", "login_file": "login"}, "absolute"),
        ({"source": "rtsp://amy:s3cret@cam/1", "login_file": "/etc/cam"}, "keep one of the two"),
        ({"source": "entrance.mp4", "login_file": "/etc/cam"}, "is for a network camera"),
    ],
)
def test_what_is_no_camera(values, says):
    with pytest.raises(ValidationError, match=says) as caught:
        camera(**values)
    assert "s3cret" not in str(caught.value)


def refused(tmp_path: Path, camera: str) -> str:
    """Everything that a refused file makes known: message, and the chain that a traceback would print."""
    path = tmp_path / "store.toml"
    path.write_text(STORE + camera, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_store(path)
    said, error = [], caught.value
    while error is not None:
        said += [str(error), repr(error)]
        error = error.__cause__ or error.__context__
    return "\n".join(said) + " ".join(caught.value.keys)


# A good address in a wrong section, and wrong ones where an address should be.
SHAPES = (
    'source = "rtsp://{u}:{p}@cam:99999/1"',
    'source = "rtsp://{u}:{p}@"',
    'source = "cam://{u}:{p}@cam/1"',
    'source = "{u}:{p}@cam/1"\nfps = 99',
    'source = ["rtsp://{u}:{p}@cam/1"]',
    'source = {{ url = "rtsp://{u}:{p}@cam/1" }}',
    'source = "rtsp://{u}:{p}@cam/1"\nfps = 0',
    'source = "rtsp://{u}:{p}@cam/1"\nlogin_file = "/etc/login"',
    'source = "rtsp://{u}:{p}@cam/1"\nspeed = 1',
    'source = "rtsp://{u}:{p}@cam/1"\n[[device]]\nkind = "lamp"\nsource = "rtsp://{u}:{p}@cam/1"',
    'source = "sim://x"\nfit = "rtsp://{u}:{p}@cam/1"',
    'source = "sim://x"\nfit = "{u}:{p}@cam/1"',
    'source = "sim://x"\nfps = "http://cam/?user={u}&pwd={p}"',
    'source = "sim://x"\n[[bus]]\nid = "rtsp://{u}:{p}@cam/1"',
)
LETTERS = st.text(st.sampled_from("aZ0._~-!$&'*+,;=%/?#@: "), max_size=6)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SHAPES), LETTERS, LETTERS)
def test_no_refusal_of_a_store_repeats_who_logs_in(tmp_path_factory, shape, before, after):
    """Whatever stands around it, escaped or not; the marks are in no message of ours."""
    text = shape.format(u=f"{before}Qx7uSer{after}", p=f"{after}Zk9pAss{before}")
    said = refused(tmp_path_factory.mktemp("store"), text).lower()
    assert "qx7user" not in said
    assert "zk9pass" not in said


def test_the_key_is_still_named(tmp_path):
    said = refused(tmp_path, 'source = "rtsp://amy:s3cret@cam:99999/1"')
    assert "device.0.camera: source: camera: must be rtsp://" in said


def test_a_good_one_is_read(tmp_path):
    path = tmp_path / "store.toml"
    path.write_text(STORE + 'source = "onvif://cam"\nlogin_file = "/etc/zhanggui/cam"\n', encoding="utf-8")
    config = load_store(path)
    assert config.device[0].login_file == Path("/etc/zhanggui/cam")
    path.write_text(STORE + 'source = "rtsp://amy:s3cret@cam"\n', encoding="utf-8")
    assert "s3cret" not in repr(load_store(path))
