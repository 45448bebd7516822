"""A puck, written from its data sheet and not with the driver's code, so that a mistake of one shows in the other."""


class Puck:
    """Answers at address 7 with 21.5 degrees."""

    def receive(self, data: bytes) -> bytes:
        return bytes.fromhex("A50781 00D7 04") if data == bytes.fromhex("A50701AD") else b""
