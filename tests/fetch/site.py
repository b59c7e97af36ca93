"""A server of one file on this machine, which misbehaves as told, a request at a time."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

FIRST, SECOND = '"first"', '"second"'


class Seen(NamedTuple):
    """What a request asked for."""

    path: str
    range: str | None
    if_range: str | None


class Site:
    """The file, what goes wrong with the next requests (nothing, when the list is empty), and what was asked.

    Faults: ``cut N`` and ``reset N`` end the connection after N bytes of the body, ``stall N`` falls silent there,
    ``flip N`` changes byte N of the body, ``whole`` ignores ranges, ``lie N`` says that the body is N bytes longer,
    ``silent`` says no length, ``part N`` answers from N bytes later than asked, ``old`` ignores If-Range, a number is
    an answer with that code, ``to ADDRESS`` redirects, ``drop`` closes without an answer.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.etag: str | None = FIRST
        self.changed: str | None = None
        self.faults: list[str] = []
        self.seen: list[Seen] = []
        self.released = threading.Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/file"


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        site = self.site
        site.seen.append(Seen(self.path, self.headers["Range"], self.headers["If-Range"]))
        fault, _, argument = (site.faults.pop(0) if site.faults else "").partition(" ")
        if fault == "drop":
            return
        if fault == "to":
            self.send_response(307)
            self.send_header("Location", argument)
            self.end_headers()
            return
        if fault.isdecimal():
            self.send_response(int(fault))
            if argument:
                self.send_header("Retry-After", argument)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._answer(fault, int(argument or 0))

    def _answer(self, fault: str, number: int) -> None:
        site = self.site
        body, start = site.content, None
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"] or "")
        current = self.headers["If-Range"] in (None, site.etag, site.changed) or fault == "old"
        if asked and current and fault != "whole":
            start = int(asked[1]) + (number if fault == "part" else 0)
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.end_headers()
                return
            body = body[start : int(asked[2]) + 1] if asked[2] else body[start:]
        self.send_response(200 if start is None else 206)
        if start is not None:
            self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{len(site.content)}")
        if fault != "silent":
            self.send_header("Content-Length", str(len(body) + (number if fault == "lie" else 0)))
        if site.etag is not None:
            self.send_header("ETag", site.etag)
        if site.changed is not None:
            self.send_header("Last-Modified", site.changed)
        self.end_headers()
        if fault == "flip":
            body = body[:number] + bytes([body[number] ^ 1]) + body[number + 1 :]
        if fault in ("cut", "reset", "stall"):
            body = body[:number]
        self.wfile.write(body)
        self.wfile.flush()
        if fault == "stall":
            site.released.wait(30)
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()


@contextmanager
def serving(content: bytes) -> Iterator[Site]:
    """Serve on a free port of this machine until the block ends."""
    site = Site(content)
    handler = type("Handler", (_Handler,), {"site": site})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.handle_error = lambda *arguments: None  # type: ignore[method-assign]
        site.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield site
        finally:
            site.released.set()
            server.shutdown()
            thread.join()
