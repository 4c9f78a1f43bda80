"""TLS: the same conversation, where nobody can listen in or pretend to be the server.

A NATS server says INFO in clear, with `tls_required`, and the client answers with a TLS
handshake on the same socket; everything after that is encrypted, CONNECT and its password
first. With `handshake_first` the handshake comes before INFO, so that even the greeting is
for those alone who trust the certificate. With `verify` the client shows a certificate too,
and one that no known authority signed ends the handshake.

                upgrade                                   handshake first
    S: INFO {"tls_required":true,…}              C: ClientHello …  S: …
    C: ClientHello …  S: …                       S: INFO {…}     (encrypted)
    C: CONNECT {…}     (encrypted)               C: CONNECT {…}  (encrypted)

Between the clear greeting and the end of the handshake the socket belongs to TLS. What the
server says in that time waits, and bytes of a client that goes on in clear are no handshake:
the connection ends.

The settings are Python's for servers (`ssl.create_default_context`), TLS 1.2 at least.

Left out: a session's own tickets, revocation lists, and new certificates without a restart.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import cast

from kvcore.limits import SECOND_NS
from kvcore.server.access import TlsSettings
from kvcore.server.driver import Driver
from kvcore.server.listener import Connection

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_MARGIN_S = 1.0  # after which we end a handshake that the event loop did not


class TlsError(Exception):
    """TLS can't be spoken as asked; the text is one sentence."""


def make_context(settings: TlsSettings) -> ssl.SSLContext:
    """The certificate, the key and what clients must show; raises `TlsError`."""
    try:
        context = ssl.create_default_context(
            ssl.Purpose.CLIENT_AUTH, cafile=settings.ca_file or None
        )
        context.minimum_version = _VERSIONS[settings.min_version]
        context.load_cert_chain(settings.cert_file, settings.key_file, password=_no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        files = ", ".join(
            name for name in (settings.cert_file, settings.key_file, settings.ca_file) if name
        )
        raise TlsError(f"can't use the TLS files {files}: {_reason(error)}") from error
    if settings.verify:
        context.verify_mode = ssl.CERT_REQUIRED
        if not settings.ca_file:
            context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    return context


def make_dialing_context(settings: TlsSettings) -> ssl.SSLContext:
    """The same for who dials a peer: it is known by the server's name in its certificate, which
    the caller checks, not by its address. Raises `TlsError`."""
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=settings.ca_file)
        context.check_hostname = False
        context.minimum_version = _VERSIONS[settings.min_version]
        context.load_cert_chain(settings.cert_file, settings.key_file, password=_no_password)
    except (OSError, ValueError) as error:
        raise TlsError(f"can't use the cluster's TLS files: {_reason(error)}") from error
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted, and a server has nobody to ask for the password")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


class Door:
    """How clients come in with TLS: what all their connections share.

    `note` is told of handshakes that came to nothing.
    """

    def __init__(self, driver: Driver, settings: TlsSettings, note: Callable[[str], None]) -> None:
        self.driver = driver
        self.context = make_context(settings)
        self.timeout = settings.timeout / SECOND_NS
        self.note = note
        self.handshakes: set[asyncio.Task[None]] = set()
        self._first = settings.handshake_first

    async def open(self, listener: socket.socket) -> asyncio.Server:
        """Let clients in from now on."""
        loop = asyncio.get_running_loop()
        if not self._first:
            return await loop.create_server(lambda: UpgradedConnection(self), sock=listener)
        return await loop.create_server(
            lambda: SecureConnection(self.driver),
            sock=listener,
            ssl=self.context,
            ssl_handshake_timeout=self.timeout,
        )

    def close(self) -> None:
        """End the handshakes that are under way."""
        for task in list(self.handshakes):
            task.cancel()


class SecureConnection(Connection):
    """A client's socket under TLS; to the driver it is like any other."""

    def eof_received(self) -> bool:
        """TLS has no half-closed connections."""
        return False


class UpgradedConnection(SecureConnection):
    """Greets in clear, and has TLS take over."""

    def __init__(self, door: Door) -> None:
        super().__init__(door.driver)
        self._door = door
        self._is_under_tls = False
        self._spoke_early = False
        self._is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open: INFO, then the handshake.

        Three callbacks, in this order: reading pauses (uvloop would begin it after this one),
        the turn writes INFO, TLS begins. So no byte of the handshake is taken from TLS.
        """
        raw = cast("asyncio.Transport", transport)
        greeting = _Greeting(raw)
        loop = asyncio.get_running_loop()
        loop.call_soon(self._pause, raw)
        self._transport = raw
        self._conn = self._driver.connected(greeting)
        loop.call_soon(self._begin, raw, greeting)

    def data_received(self, data: bytes) -> None:
        """Bytes that TLS has decrypted; others are from a client that didn't wait for INFO."""
        if self._is_under_tls:
            super().data_received(data)
        else:
            self._spoke_early = True

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed, by whichever side, at whatever time."""
        if not self._is_over:
            self._is_over = True
            super().connection_lost(exc)

    def _pause(self, raw: asyncio.Transport) -> None:
        if not raw.is_closing():
            raw.pause_reading()

    def _begin(self, raw: asyncio.Transport, greeting: "_Greeting") -> None:
        greeting.is_over = self._is_under_tls = True
        if raw.is_closing():
            return
        if self._spoke_early:
            self._door.note("TLS handshake error: the client spoke in clear")
            raw.close()
            return
        task = asyncio.get_running_loop().create_task(self._shake_hands(raw, greeting))
        self._door.handshakes.add(task)
        task.add_done_callback(self._door.handshakes.discard)

    async def _shake_hands(self, raw: asyncio.Transport, greeting: "_Greeting") -> None:
        door = self._door
        secure, why = None, "the client left"
        try:
            async with asyncio.timeout(door.timeout + _MARGIN_S):
                secure = await asyncio.get_running_loop().start_tls(
                    raw, self, door.context, server_side=True, ssl_handshake_timeout=door.timeout
                )
        except TimeoutError:
            why = "it took too long"
        except OSError as error:
            why = _reason(error)
        finally:
            if secure is None:  # then nobody else tells us that the connection is lost
                raw.abort()
                self.connection_lost(None)
        if secure is None:
            door.note(f"TLS handshake error: {why}")
            return
        self._transport = secure
        secure.writelines(greeting.late)
        if not self._driver.secured(self._conn, secure):
            secure.close()


class _Greeting(asyncio.Transport):
    """What the driver writes to until TLS has taken over: INFO goes out, the rest waits."""

    def __init__(self, raw: asyncio.Transport) -> None:
        super().__init__()
        self._raw = raw
        self.is_over = False
        self.late: list[bytes | bytearray | memoryview] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.is_over:
            self.late.append(data)
        else:
            self._raw.write(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._raw.get_extra_info(name, default)

    def close(self) -> None:
        if not self.is_over:  # else TLS ends it, when the handshake is over
            self._raw.close()

    def abort(self) -> None:
        self._raw.abort()

    def pause_reading(self) -> None:
        """Nothing is read as it is."""

    def resume_reading(self) -> None:
        """What comes is for TLS."""
