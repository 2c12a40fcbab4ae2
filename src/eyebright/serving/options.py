"""What an operator may decide about the server, as frozen values: how long things may take, how much may come, who may ask."""

import dataclasses

MEBIBYTE = 1024 * 1024
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclasses.dataclass(frozen=True)
class Deadlines:
    """Seconds that each part of an exchange may take."""

    head: float = 10.0  # from the connection, or from the first byte of a further request, to the head's last byte
    body: float = 30.0  # from there to the body's last byte
    answer: float = 30.0  # from there to the answer's last byte
    reload: float = 300.0  # the same for loading a model again
    write: float = 30.0  # for a client to take what was written
    idle: float = 75.0  # between two requests on one connection: longer than the 60 s of common proxies, which then close first
    notice: float = 0.5  # from SIGTERM on, at least: new requests are still refused by an answer, not by a closed port
    linger: float = 5.0  # how long a refused body is read and thrown away, so that the refusal arrives


@dataclasses.dataclass(frozen=True)
class Bounds:
    """How much may come, and how many may be there at once."""

    body: int = 20 * MEBIBYTE  # bytes of one request's body
    bodies: int = 256 * MEBIBYTE  # bytes of all bodies that are in memory at the same time
    head: int = 32 * 1024  # bytes of the request line and the headers together
    address: int = 8 * 1024  # bytes of the address alone; RFC 9110, section 4.1, recommends 8,000
    connections: int = 4096  # open at the same time; beyond it the longest idle one makes room
    spare: int = 64  # further ones, which are told to come back; health is answered there too


@dataclasses.dataclass(frozen=True)
class Options:
    """Everything about the server that is not about its models.

    ``hosts`` are the names that a request may be for, ``*`` any; with ``addresses`` every numeric address is one as well.
    ``token`` None asks nobody for one. ``open_paths`` are answered without a token beside those that always are.
    """

    deadlines: Deadlines = dataclasses.field(default_factory=Deadlines)
    bounds: Bounds = dataclasses.field(default_factory=Bounds)
    hosts: tuple[str, ...] = LOOPBACK_NAMES
    addresses: bool = False
    token: str | None = None
    open_paths: tuple[str, ...] = ()
    root_path: str = ""
