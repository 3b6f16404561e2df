"""A way to a web server on which bytes go slowly, and which can be cut and mended."""

from __future__ import annotations

import socket
import threading
import time
from types import TracebackType

BLOCK = 16 * 1024


class SlowLine:
    """Passes connections on to ``port``; what is sent goes at ``rate`` bytes a second."""

    def __init__(self, port: int, rate: float) -> None:
        self.rate = rate
        self._port = port
        self._is_cut = False
        self._ends: set[socket.socket] = set()

    def __enter__(self) -> SlowLine:
        # Small, so that what the client has sent is soon where the server reads it.
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BLOCK)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
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
        self.cut()

    def cut(self) -> None:
        """End every connection, and let no new one through."""
        self._is_cut = True
        for end in list(self._ends):
            _close(end)

    def mend(self) -> None:
        self._is_cut = False

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._is_cut:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self._port))
            self._ends |= {client, server}
            for source, target, rate in ((client, server, self.rate), (server, client, 0)):
                arguments = [source, target, rate]
                threading.Thread(target=self._pass_on, args=arguments, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, rate: float) -> None:
        try:
            while block := source.recv(BLOCK):
                if rate:
                    time.sleep(len(block) / rate)
                target.sendall(block)
        except OSError:
            pass  # Cut, or one of the two has gone.
        for end in (source, target):
            _close(end)
            self._ends.discard(end)


def _close(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # It is closed.
    end.close()
