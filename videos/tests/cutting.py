"""A proxy that cuts connections, between clients of tus and the web server that they upload to."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

STEP = 64 * 1024
RESET = struct.pack("ii", 1, 0)


class CuttingProxy:
    """Passes bytes on to a port, and resets all connections whenever it has passed so many more.

    ``cuts`` are the bytes after which it does so, from the first on; ``on_cut`` is called with the
    number of the cut while nothing goes through.
    """

    def __init__(self, target: int, cuts: list[int], on_cut: Callable[[int], None]) -> None:
        self._target, self._cuts, self._on_cut = target, cuts, on_cut
        self.done, self._passed = 0, 0
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.failure: BaseException | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator["CuttingProxy"]:
        threading.Thread(target=self._accept, daemon=True).start()
        try:
            yield self
        finally:
            self._listener.close()
            with self._lock:
                self._reset_all()
        if self.failure is not None:
            raise self.failure

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with self._lock:  # not while the server is down for a cut
            try:
                server = socket.create_connection(("127.0.0.1", self._target), 10)
            except OSError:
                client.close()
                return
            self._open |= {client, server}
        server.settimeout(None)
        answers = threading.Thread(target=self._pass, args=(server, client, False), daemon=True)
        answers.start()
        self._pass(client, server, True)
        answers.join()
        with self._lock:
            self._open -= {client, server}
        client.close()
        server.close()

    def _pass(self, source: socket.socket, target: socket.socket, is_upload: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(STEP):
                target.sendall(data)
                if is_upload:
                    self._count(len(data))
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _count(self, size: int) -> None:
        with self._lock:
            self._passed += size
            if self.done == len(self._cuts) or self._passed < self._cuts[self.done]:
                return
            self.done += 1
            self._reset_all()
            try:
                self._on_cut(self.done)
            except BaseException as error:
                self.failure = error
                raise

    def _reset_all(self) -> None:
        for each in self._open:
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                each.shutdown(socket.SHUT_RDWR)  # its own thread closes it
