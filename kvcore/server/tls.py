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
server would say in that time is dropped (it could only be goodbye), and bytes of a client
that goes on in clear are no handshake: the connection ends.

The settings are Python's for servers (`ssl.create_default_context`), TLS 1.2 at least.

Left out: a session's own tickets, revocation lists, and new certificates without a restart.
"""

import asyncio
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
        self.first = settings.handshake_first
        self.timeout = settings.timeout / SECOND_NS
        self.note = note
        self.handshakes: set[asyncio.Task[None]] = set()

    def connection(self) -> "SecureConnection":
        """For one more client."""
        return SecureConnection(self)

    def close(self) -> None:
        """End the handshakes that are under way."""
        for task in list(self.handshakes):
            task.cancel()


class SecureConnection(Connection):
    """A client's socket under TLS; to the driver it is like any other."""

    def __init__(self, door: Door) -> None:
        super().__init__(door.driver)
        self._door = door
        self._is_known = False  # to the driver

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open: greet in clear, then the handshake, or that first."""
        raw = cast("asyncio.Transport", transport)
        raw.pause_reading()  # what comes next is for TLS
        loop = asyncio.get_running_loop()
        self._transport = raw
        if self._door.first:
            self._begin(raw, None)
            return
        greeting = _Greeting(raw)
        self._is_known = True
        self._conn = self._driver.connected(greeting)
        loop.call_soon(self._begin, raw, greeting)  # after the turn in which INFO is written

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed, by whichever side, at whatever time."""
        if self._is_known:
            self._is_known = False
            super().connection_lost(exc)

    def eof_received(self) -> bool:
        """TLS has no half-closed connections."""
        return False

    def _begin(self, raw: asyncio.Transport, greeting: "_Greeting | None") -> None:
        if greeting is not None:
            greeting.is_over = True
        if raw.is_closing():
            return
        task = asyncio.get_running_loop().create_task(self._shake_hands(raw))
        self._door.handshakes.add(task)
        task.add_done_callback(self._door.handshakes.discard)

    async def _shake_hands(self, raw: asyncio.Transport) -> None:
        door = self._door
        why = "the client left"
        try:
            async with asyncio.timeout(door.timeout + _MARGIN_S):
                secure = await asyncio.get_running_loop().start_tls(
                    raw, self, door.context, server_side=True, ssl_handshake_timeout=door.timeout
                )
        except TimeoutError:
            secure, why = None, "it took too long"
        except OSError as error:
            secure, why = None, _reason(error)
        if secure is None:
            door.note(f"TLS handshake error: {why}")
            raw.abort()
            self.connection_lost(None)
            return
        self._transport = secure
        if self._is_known:
            if not self._driver.secured(self._conn, secure):
                secure.close()
        else:
            self._is_known = True
            self._conn = self._driver.connected(secure)


class _Greeting(asyncio.Transport):
    """What the driver writes to until TLS has taken over: INFO goes out, then nothing."""

    def __init__(self, raw: asyncio.Transport) -> None:
        super().__init__()
        self._raw = raw
        self.is_over = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.is_over:
            self._raw.write(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._raw.get_extra_info(name, default)

    def close(self) -> None:
        if self.is_over:
            self._raw.abort()
        else:
            self._raw.close()

    def abort(self) -> None:
        self._raw.abort()

    def pause_reading(self) -> None:
        """Nothing is read as it is."""

    def resume_reading(self) -> None:
        """What comes is for TLS."""
