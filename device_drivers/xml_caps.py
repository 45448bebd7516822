"""XML from a device: read with hard caps, without document types and entities, or refused.

`<!DOCTYPE` is the door to every attack by expansion and by outside files, and no device needs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element, TreeBuilder  # the plain tree; what is read is capped below
from xml.parsers import expat  # the same: document types are refused before anything is expanded

from device_drivers.errors import ProtocolError


@dataclass(frozen=True, slots=True)
class XmlCaps:
    """How much of a document is taken: bytes in all, elements inside one another, elements and attributes in all."""

    max_bytes: int = 256 * 1024
    max_depth: int = 32
    max_elements: int = 10_000


class XmlRefusedError(ProtocolError):
    """No XML, more of it than the caps allow, or with a document type. The message repeats nothing of it."""


def read_xml(data: bytes, caps: XmlCaps | None = None) -> Element:
    """The root of a whole document; names are `{namespace}local`. Raises XmlRefusedError, whatever the bytes are."""
    caps = caps or XmlCaps()
    if len(data) > caps.max_bytes:
        raise XmlRefusedError(f"XML: {len(data)} bytes, at most {caps.max_bytes}")
    parser = expat.ParserCreate(namespace_separator="}")
    builder = TreeBuilder()
    depth = elements = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth, elements
        depth += 1
        elements += 1 + len(attributes)
        if depth > caps.max_depth or elements > caps.max_elements:
            raise XmlRefusedError(f"XML: deeper than {caps.max_depth} or more than {caps.max_elements} elements")
        builder.start(_name(tag), {_name(name): value for name, value in attributes.items()})

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_name(tag))

    def refuse(*_: object) -> int:
        raise XmlRefusedError("XML: holds a document type or an entity of its own")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # LookupError: an encoding that nobody knows
        code = getattr(error, "code", None)
        said = expat.ErrorString(code) if code else "an unknown encoding"
        raise XmlRefusedError(f"XML: {said}") from None
    return builder.close()


def _name(tag: str) -> str:
    return "{" + tag if "}" in tag else tag
