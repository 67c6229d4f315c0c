"""As much of the protocol buffer format as reading and thinning out a sentencepiece model takes."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Field:
    """One field of a message."""

    number: int
    """Which field of the schema it is."""
    value: int | bytes
    """A number, or the content of a text, of an inner message or of a fixed-width number."""
    raw: bytes
    """The whole field as it stands in the message."""


def fields(message: bytes) -> Iterator[Field]:
    """Yield each field of a message, in order.

    Raises:
        IndexError: the message breaks off.
    """
    place = 0

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = message[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while place < len(message):
        begin = place
        number, wire_type = divmod(varint(), 8)
        value: int | bytes
        if wire_type == 0:
            value = varint()
        else:
            length = {1: 8, 5: 4}.get(wire_type)
            length = varint() if length is None else length
            value = message[place : place + length]
            place += length
        yield Field(number, value, message[begin:place])
