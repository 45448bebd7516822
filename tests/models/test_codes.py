"""Codes in pictures: what segno draws is read back turned, dimmed and scaled; what is no code reads as nothing."""

import io

import cv2
import numpy as np
import pytest
import segno
from skimage import data

from models import codes
from models.codes import MAX_CODES, MAX_SIDE, MAX_TEXT, PictureTooLargeError, read_codes

TEXT = "ZG1.k7.2026-01-01.abcdefghijk"


def drawn(text: str = TEXT, scale: int = 6, **options) -> np.ndarray:
    """A QR code as a BGR picture with its quiet zone."""
    out = io.BytesIO()
    segno.make(text, micro=False, **options).save(out, kind="png", scale=scale)
    return cv2.imdecode(np.frombuffer(out.getvalue(), np.uint8), cv2.IMREAD_COLOR)


def turned(image: np.ndarray, degrees: float) -> np.ndarray:
    side = int(max(image.shape[:2]) * 1.5)
    canvas = np.full((side, side, 3), 255, np.uint8)
    top = (side - image.shape[0]) // 2
    canvas[top : top + image.shape[0], top : top + image.shape[1]] = image
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), degrees, 1)
    return cv2.warpAffine(canvas, turn, (side, side), borderValue=(255, 255, 255))


def dimmed(image: np.ndarray, low: int, high: int) -> np.ndarray:
    return (low + image.astype(float) / 255 * (high - low)).astype(np.uint8)


@pytest.mark.parametrize(
    "image",
    [
        drawn(),  # as drawn
        drawn()[:, :, 0],  # grey
        drawn(scale=3),  # small
        drawn(scale=14),  # large
        drawn(error="h"),  # with more redundancy
        *[turned(drawn(), degrees) for degrees in (7, 45, 90, 180, 213)],  # held as people hold a phone
        dimmed(drawn(), 60, 130),  # a dark screen
        dimmed(drawn(), 190, 250),  # an over-exposed one
        cv2.GaussianBlur(drawn(), (5, 5), 0),  # out of focus
        np.ascontiguousarray(drawn()[:, ::-1]),  # mirrored, as front cameras do
        255 - drawn(),  # light on dark
    ],
)
def test_a_code_is_read_back(image):
    reading = read_codes(image)
    assert [(code.text, code.format) for code in reading.codes] == [(TEXT, "QRCode")]


@pytest.mark.parametrize(
    "image",
    [
        *[getattr(data, name)() for name in ("camera", "coffee", "chelsea", "brick", "page", "checkerboard")],
        np.zeros((100, 100), np.uint8),  # night
        np.full((1, 1, 3), 255, np.uint8),  # next to nothing
        np.zeros((0, 10), np.uint8),  # nothing
        drawn()[: drawn().shape[0] // 2],  # half a code
        np.random.default_rng(1).integers(0, 256, (200, 200), np.uint8),  # noise
    ],
)
def test_what_is_no_code_reads_as_nothing(image):
    assert read_codes(np.ascontiguousarray(image)).codes == ()


def test_two_codes_are_two():
    image = np.hstack([drawn("one", scale=5, version=2), drawn("two", scale=5, version=2)])
    assert {code.text for code in read_codes(image).codes} == {"one", "two"}


@pytest.mark.parametrize("reader", codes._readers()[:2])
def test_each_reader_alone_reads_a_plain_code(monkeypatch, reader):
    monkeypatch.setattr(codes, "_readers", lambda: (reader,))
    assert [code.text for code in read_codes(drawn()).codes] == [TEXT]


def test_zbar_is_asked_where_it_is_installed(monkeypatch):
    class Result:
        data, type = b"EAN text \xff", "EAN13"

    assert [(c.text, c.format, c.reader) for c in codes._zbar(lambda _: [Result()], drawn())] == [
        ("EAN text \ufffd", "EAN13", "zbar")
    ]
    monkeypatch.setitem(__import__("sys").modules, "pyzbar", None)
    codes._readers.cache_clear()
    try:
        assert len(codes._readers()) == 2  # the package or its library is missing: two remain
    finally:
        codes._readers.cache_clear()


def test_opencv_that_stumbles_finds_nothing(monkeypatch):
    class Torn:
        def detectAndDecodeMulti(self, _):  # noqa: N802 - OpenCV's spelling
            raise cv2.error("assertion")

    monkeypatch.setattr(cv2, "QRCodeDetector", Torn)
    assert list(codes._opencv(drawn()[:, :, 0])) == []


@pytest.mark.parametrize("shape", [(MAX_SIDE + 1, 2), (2, MAX_SIDE + 1), (4000, 4000)])
def test_a_picture_beyond_the_caps_is_refused(shape):
    with pytest.raises(PictureTooLargeError):
        read_codes(np.zeros(shape, np.uint8))


def test_the_deadline_is_kept_between_readers(monkeypatch):
    """The clock stands at 0 when the first reader starts and at 9 when it is done: the second is not asked."""
    asked = []
    monkeypatch.setattr(
        codes, "_readers", lambda: (lambda _: iter(asked.append(1) or ()), lambda _: iter(asked.append(2) or ()))
    )
    times = iter([0.0, 0.0, 9.0])
    reading = read_codes(drawn(), deadline_s=1.0, now_s=lambda: next(times))
    assert (asked, reading.codes, reading.out_of_time) == ([1], (), True)


def test_texts_and_their_number_are_capped(monkeypatch):
    many = [codes.Code("x" * (MAX_TEXT + 1), "QRCode", "t"), codes.Code("", "QRCode", "t")]
    many += [codes.Code(f"{i}", "QRCode", "t") for i in range(40)]
    monkeypatch.setattr(codes, "_readers", lambda: (lambda _: iter(many),))
    found = read_codes(drawn()).codes
    assert [code.text for code in found] == [f"{i}" for i in range(MAX_CODES)]
