"""A way to a web server on which connections break in the middle of what is sent."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

BLOCK = 16 * 1024


@dataclass(frozen=True)
class Piece:
    """A PATCH on its way."""

    offset: int
    size: int


@dataclass
class CuttingProxy:
    """Passes HTTP on to ``port`` and breaks each PATCH for which ``cuts`` says True half-way.

    ``reset`` breaks as a vanished machine does, and not as a program that ended: what is
    still on the way is lost. The clients of these tests send one request on a connection.
    """

    port: int
    cuts: Callable[[Piece], bool]
    reset: bool = False
    broken: list[Piece] = field(default_factory=list)
    whole: list[Piece] = field(default_factory=list)

    def __enter__(self) -> CuttingProxy:
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self.port)) as server:
            head, _, body = _until_blank_line(client)
            server.sendall(head)
            headers = _headers(head)
            left = int(headers.get("content-length", "0"))
            if head.startswith(b"PATCH"):
                piece = Piece(int(headers["upload-offset"]), left)
                is_cut = self.cuts(piece)
                (self.broken if is_cut else self.whole).append(piece)
                if is_cut:
                    _pass_on(client, server, body, left // 2)
                    if self.reset:
                        for end in (client, server):
                            end.setsockopt(
                                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                            )
                    return
            _pass_on(client, server, body, left)
            while block := server.recv(BLOCK):
                client.sendall(block)


def _until_blank_line(client: socket.socket) -> tuple[bytes, bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        block = client.recv(BLOCK)
        if not block:
            return data, b"", b""
        data += block
    head, mark, body = data.partition(b"\r\n\r\n")
    return head + mark, mark, body


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    return {name.lower(): value.strip() for name, _, value in pairs}


def _pass_on(client: socket.socket, server: socket.socket, body: bytes, size: int) -> None:
    """So many bytes of the body, of which the first came with the head."""
    server.sendall(body[:size])
    size -= len(body)
    while size > 0:
        block = client.recv(min(BLOCK, size))
        if not block:
            return
        server.sendall(block)
        size -= len(block)
