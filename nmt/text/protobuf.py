"""The part of the protocol buffer format that reading and pruning a sentencepiece model needs."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Field:
    """One field of a message."""

    number: int
    """Its number in the schema."""
    value: int | bytes
    """A number, or the bytes of a text, an inner message or a fixed-width number."""
    raw: bytes
    """The bytes of the whole field."""


def fields(message: bytes) -> Iterator[Field]:
    """Yield each field of a message, in order.

    Raises:
        IndexError: the message is truncated.
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
