"""A closed loop of clients, one process:  python load.py PORT PATH KIND CLIENTS SECONDS PICTURE...  -> one line of JSON

Each client keeps one connection open and sends its next picture when the last was answered. KIND is how the picture travels:
raw, multipart or base64. The client costs the server's cores little: requests are made once, and of an answer only status and
length are read. It needs nothing but Python, and gives latencies in milliseconds.
"""

import asyncio
import base64
import json
import sys
import time
from pathlib import Path

BOUNDARY = "eyebright-bench"


def encoded(kind: str, picture: bytes) -> tuple[bytes, str]:
    """The body and its content type."""
    if kind == "raw":
        return picture, "image/jpeg"
    if kind == "base64":
        return json.dumps({"image": base64.b64encode(picture).decode()}).encode(), "application/json"
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    return head.encode() + picture + f"\r\n--{BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={BOUNDARY}"


def request(port: int, path: str, kind: str, picture: bytes) -> bytes:
    body, content_type = encoded(kind, picture)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def client(port: int, requests: list[bytes], first: int, until: float, taken: list[tuple[float, int]]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    turn = first
    while time.perf_counter() < until:
        started = time.perf_counter()
        writer.write(requests[turn % len(requests)])
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        taken.append((time.perf_counter() - started, int(head[9:12])))
        turn += 1
    writer.close()


async def load(port: int, requests: list[bytes], clients: int, seconds: float) -> dict[str, float]:
    taken: list[tuple[float, int]] = []
    started = time.perf_counter()
    await asyncio.gather(*(client(port, requests, first, started + seconds, taken) for first in range(clients)))
    elapsed = time.perf_counter() - started
    latencies = sorted(1000 * took for took, status in taken if status == 200)
    return {
        "requests_per_second": round(len(latencies) / elapsed, 2),
        "p50_ms": round(latencies[len(latencies) // 2], 2) if latencies else float("nan"),
        "p99_ms": round(latencies[int(len(latencies) * 0.99)], 2) if latencies else float("nan"),
        "n": len(latencies),
        "failed": len(taken) - len(latencies),
    }


def main() -> None:
    port, path, kind, clients, seconds, *pictures = sys.argv[1:]
    requests = [request(int(port), path, kind, Path(picture).read_bytes()) for picture in pictures]
    print(json.dumps(asyncio.run(load(int(port), requests, int(clients), float(seconds)))))


if __name__ == "__main__":
    main()
