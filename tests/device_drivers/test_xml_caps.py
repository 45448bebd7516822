"""XML from a device: taken within the caps, refused otherwise, and never anything else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.xml_caps import XmlCaps, XmlRefusedError, read_xml

CAPS = XmlCaps(max_bytes=2000, max_depth=4, max_elements=12)


@pytest.mark.parametrize(
    ("text", "root"),
    [
        ("<a/>", "a"),
        ('<?xml version="1.0" encoding="UTF-8"?><a>text</a>', "a"),
        ('<x:a xmlns:x="urn:x"><x:b/></x:a>', "{urn:x}a"),
        ('<a xmlns="urn:x" xmlns:y="urn:y" y:k="v"/>', "{urn:x}a"),
        ("<a><b><c><d/></c></b></a>", "a"),  # as deep as may be
        ("<a>" + "<b/>" * 11 + "</a>", "a"),  # as many as may be
        ("<a>&lt;&#20013;&amp;</a>", "a"),  # the entities that XML has itself
    ],
)
def test_what_is_taken(text, root):
    assert read_xml(text.encode(), CAPS).tag == root


def test_names_texts_and_attributes():
    root = read_xml('<a xmlns="urn:x" xmlns:y="urn:y" y:k="1" l="2"><b>中<!-- x -->文</b></a>'.encode())
    assert root.attrib == {"{urn:y}k": "1", "l": "2"}
    assert root.findtext("{urn:x}b") == "中文"


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 8))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no element found"),
        (b"<a>", "no element found"),
        (b"<a></b>", "mismatched tag"),
        (b"<a/><b/>", "junk after document element"),
        (b"\xff\xfe\x00", "XML: "),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "unknown encoding"),
        (b"<a>\xc3\x28</a>", "invalid token"),
        (b"<a>&nobody;</a>", "undefined entity"),
        (b"<!DOCTYPE a><a/>", "document type"),
        (b'<!DOCTYPE a SYSTEM "http://10.0.0.1/x.dtd"><a/>', "document type"),  # would fetch
        (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "document type"),  # would read
        (f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><a>&l7;</a>'.encode(), "document type"),  # would grow
        (b"<a>" + b" " * 2000 + b"</a>", "at most 2000"),
        (b"<a>" * 5 + b"</a>" * 5, "deeper than 4"),
        (b"<a>" + b"<b/>" * 12 + b"</a>", "more than 12"),
        (b"<a " + b" ".join(b'k%d=""' % n for n in range(12)) + b"/>", "more than 12"),  # attributes count too
    ],
)
def test_what_is_refused(data, says):
    with pytest.raises(XmlRefusedError, match=says):
        read_xml(data, CAPS)


PIECES = (
    "<a>",
    "</a>",
    "<a",
    "/>",
    '"',
    "&x;",
    "<!DOCTYPE",
    "]]>",
    "<![CDATA[",
    "<?xml",
    "\x00",
    " k='v'",
    "é",
    "text",
)


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=300) | st.lists(st.sampled_from(PIECES), max_size=30).map(lambda x: "".join(x).encode()))
def test_any_bytes_are_read_or_refused(data):
    try:
        root = read_xml(data, CAPS)
    except XmlRefusedError:
        return
    assert sum(1 + len(element.attrib) for element in root.iter()) <= CAPS.max_elements
