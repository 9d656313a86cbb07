"""A small name server (UDP on loopback), and the system's look-up made to ask it."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

_QUESTION = struct.Struct("!6H")


class NameServer:
    """Answers every question about an address with `addresses` (IPv4); `[]`: there is no such name.

    `silent` lets it answer nothing at all. `asked` counts the questions.
    """

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.silent = False
        self.asked = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def look_up(self, host: str, timeout: float = 0.5) -> list[str]:
        """Ask over UDP, as the system would. Raises `socket.gaierror`."""
        name = b"".join(bytes([len(part)]) + part.encode() for part in host.split(".")) + b"\0"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(timeout)
            client.sendto(_QUESTION.pack(7, 0x100, 1, 0, 0, 0) + name + b"\0\1\0\1", self._socket.getsockname())
            try:
                answer = client.recv(4096)
            except TimeoutError:
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution") from None
        count = _QUESTION.unpack_from(answer)[3]
        if not count:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [socket.inet_ntoa(answer[len(answer) - 16 * (index + 1) :][12:16]) for index in range(count)]

    def close(self) -> None:
        """Stop answering."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"", self._socket.getsockname())
        self._thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            question, client = self._socket.recvfrom(4096)
            if not question:
                return
            self.asked += 1
            if self.silent:
                continue
            head = _QUESTION.pack(7, 0x8180, 1, len(self.addresses), 0, 0)
            records = b"".join(
                b"\xc0\x0c\0\1\0\1\0\0\0\x05\0\4" + socket.inet_aton(address) for address in self.addresses
            )
            self._socket.sendto(head + question[_QUESTION.size :] + records, client)


@contextlib.contextmanager
def name_server(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> Iterator[NameServer]:
    """A name server that every look-up of a name of this process asks; addresses need no look-up."""
    server = NameServer(*addresses)
    system = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *args: object, **options: object) -> list[object]:
        if not host.endswith(".test"):
            return list(system(host, port, *args, **options))  # type: ignore[arg-type]  # as they came
        found = server.look_up(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    try:
        yield server
    finally:
        server.close()
