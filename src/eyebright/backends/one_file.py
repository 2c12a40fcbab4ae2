"""Whether an ONNX file holds all of its values itself, read from its bytes without the package ``onnx``.

ONNX Runtime and OpenVINO look for values in another file below the working directory where a graph comes from memory, so a
stranger's graph could read the user's files, and answer with them.
"""

from collections.abc import Iterator

from eyebright.core.errors import ModelError

REMEDY = "Save it again with onnx.save(model, path, save_as_external_data=False)."
VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5  # kinds of field; groups, which ONNX has none of, are refused
MOST_TAG = 2**32  # protobuf's own limit

# Which fields of a message are messages with a tensor in them: field numbers of onnx.proto3 (IR version 13).
_INNER = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of a tensor


def refuse_other_files(content: bytes, what: str) -> None:
    """Raises ``ModelError``, which names the file as ``what``, where a tensor of the graph in ``content`` lies elsewhere.

    So it does where ``content`` cannot be followed to its end: what was not read may name a file.
    """
    try:
        elsewhere = _has_values_elsewhere(content)
    except (IndexError, ValueError):
        raise ModelError(f"{what} cannot be opened: it is no ONNX file, or a damaged one. Export or copy it again.") from None
    if elsewhere:
        raise ModelError(
            f"{what} cannot be opened: it keeps values in another file; one file that holds everything was expected. {REMEDY}"
        )


def _has_values_elsewhere(content: bytes) -> bool:
    waiting = [("model", 0, len(content))]
    while waiting:  # no recursion: graphs in graphs may be as deep as a stranger likes
        message, start, end = waiting.pop()
        for number, kind, first, last in _fields(content, start, end):
            if message == "tensor" and number == _EXTERNAL_DATA:
                return True
            if message == "tensor" and number == _DATA_LOCATION and (kind != VARINT or first):
                return True
            if kind == LENGTH and number in _INNER[message]:
                waiting.append((_INNER[message][number], first, last))
    return False


def _fields(content: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number and kind of each field of the message in ``content[at:end]``, with where its bytes begin and end.

    A whole number is given itself, twice. Raises ``IndexError`` or ``ValueError`` where the bytes are no such message.
    """
    while at < end:
        tag, at = _whole_number(content, at)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, at = _whole_number(content, at)
            found = number, kind, value, value
        else:
            size, at = _whole_number(content, at) if kind == LENGTH else ({EIGHT_BYTES: 8, FOUR_BYTES: 4}.get(kind, -1), at)
            if size < 0:
                raise ValueError(kind)
            found = number, kind, at, at + size
            at += size
        if number == 0 or tag >= MOST_TAG or at > end:
            raise ValueError(number)
        yield found


def _whole_number(content: bytes, at: int) -> tuple[int, int]:
    """The varint at ``at``, and where it ends."""
    value = 0
    for place in range(10):
        byte = content[at + place]
        value |= (byte & 127) << (7 * place)
        if byte < 128:
            return value, at + place + 1
    raise ValueError(value)
