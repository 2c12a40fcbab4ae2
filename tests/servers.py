"""A web server on this computer that behaves as badly as it is told to, one answer after the other."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ETAG = '"v1"'


class Server:
    """``answers`` leads from a path to the answers it will give, the last one again and again; ``seen`` keeps the requests."""

    def __init__(self, address):
        self.url = f"http://127.0.0.1:{address[1]}/"
        self.answers = {}
        self.seen = []
        self.closing = threading.Event()

    def serve(self, path, *answers):
        self.answers[f"/{path}"] = list(answers)

    def ranges(self):
        """The ranges that were asked for, None for a whole file."""
        return [headers.get("Range") for _, headers in self.seen]


@contextmanager
def running():
    """A server for the length of a block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            server.seen.append((self.path, dict(self.headers)))
            answers = server.answers.get(self.path)
            answer = (answers.pop(0) if len(answers) > 1 else answers[0]) if answers else status(404)
            self.close_connection = True
            answer(self)

        def log_message(self, *words):
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.daemon_threads = True
    web.handle_error = lambda *words: None  # a client that hangs up is what the tests are about
    server = Server(web.server_address)
    Handler.server_of_tests = server
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        web.shutdown()
        thread.join()
        web.server_close()


def _send(handler, code, headers, body):
    handler.send_response(code)
    for name, value in {"Connection": "close", **headers}.items():
        if value is not None:
            handler.send_header(name, str(value))
    handler.end_headers()
    handler.wfile.write(body)
    handler.wfile.flush()


def _asked(handler, etag):
    """From which byte on the client wants the file, where it asks for the same version."""
    wanted = handler.headers.get("Range")
    return int(wanted[len("bytes=") : -1]) if wanted and handler.headers.get("If-Range", etag) == etag else 0


def file(content, *, etag=ETAG, sends=None, **headers):
    """The file, or its rest, as it should be; of it only the first ``sends`` bytes, then the connection breaks."""

    def answer(handler):
        begin = _asked(handler, etag)
        if begin >= len(content):
            return _send(handler, 416, {"Content-Range": f"bytes */{len(content)}", "Content-Length": 0}, b"")
        known = {"ETag": etag, "Content-Length": len(content) - begin, **headers}
        if begin:
            known["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        body = content[begin:] if sends is None else content[begin : begin + sends]
        return _send(handler, 206 if begin else 200, known, body)

    return answer


def whole(content, *, sends=None, etag=ETAG, **headers):
    """Always the whole file: ranges are ignored."""
    return lambda handler: _send(
        handler, 200, {"ETag": etag, "Content-Length": len(content), **headers}, content if sends is None else content[:sends]
    )


def range_of(content, given):
    """The whole file called another range."""
    return lambda handler: _send(handler, 206, {"ETag": ETAG, "Content-Length": len(content), "Content-Range": given}, content)


def status(code, body=b"", **headers):
    return lambda handler: _send(handler, code, {"Content-Length": len(body), **headers}, body)


def redirect(url, code=302):
    return lambda handler: _send(handler, code, {"Location": url, "Content-Length": 0}, b"")


def stall(content, *, after, seconds=20.0):
    """Announces the file, sends ``after`` bytes of what was asked for, then nothing."""

    def answer(handler):
        file(content, sends=after)(handler)
        handler.server_of_tests.closing.wait(seconds)

    return answer


def drip(content, *, every):
    """A byte now and then."""

    def answer(handler):
        file(content, sends=0)(handler)
        for place in range(len(content)):
            handler.wfile.write(content[place : place + 1])
            handler.wfile.flush()
            if handler.server_of_tests.closing.wait(every):
                return

    return answer
