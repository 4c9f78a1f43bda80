"""What the commands do on the wire, through nats-py.

Each function here is one thing that the official CLI asks of a server, in the same requests:
a bucket is looked up before it is used, a value is read with a direct get, a list of keys is
a consumer that delivers the last message of each subject until none is pending. nats-py is
the client (connection, requests, ordered consumers); its own key-value class is not used,
because it hides what the commands must show: times, deltas, the server's own error texts.

A refusal becomes a `CommandError` with the official CLI's words.

Left out: mirrors, sources and placement beyond passing them on.
"""

import base64
import json
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import nats
import nats.errors
from nats.aio.client import Client
from nats.js import api as js_api
from nats.js.errors import Error as JetStreamError

from kvcore.cli.commands import CommandError
from kvcore.limits import SECOND_NS, Nanos

Json: TypeAlias = dict[str, Any]  # a server's answer; the shapes are JetStream's

_BUCKET = re.compile(r"[a-zA-Z0-9_-]+")
_KEY = re.compile(r"[-/_=.a-zA-Z0-9]+")
_PATTERN = re.compile(r"[-/_=.a-zA-Z0-9*]*>?")
_NO_STREAM = 10059
_NAME_IN_USE = 10058
_REASONS = {"MaxAge": "PURGE", "Purge": "PURGE", "Remove": "DELETE"}
_OPERATIONS = {"DEL": "DELETE", "PURGE": "PURGE"}


@dataclass(frozen=True, slots=True)
class Server:
    """Where to connect and as whom; `timeout` in seconds."""

    url: str
    user: str | None = None
    password: str | None = None
    token: str | None = None
    timeout: float = 5.0


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One revision of a key; `operation` is PUT, DELETE or PURGE, `created` RFC 3339."""

    key: str
    value: bytes
    revision: int
    created: str
    operation: str = "PUT"
    pending: int = 0


class ApiError(CommandError):
    """The server refused an API call."""

    def __init__(self, error: Json) -> None:
        self.code = int(error.get("code", 0))
        self.err_code = int(error.get("err_code", 0))
        self.description = str(error.get("description", ""))
        super().__init__(f"nats: {self.said}")

    def at_publish(self, more: str = "") -> CommandError:
        """The error as a put shows it, with nats.go's own words after it."""
        return CommandError(f"nats: nats: {self.said}{more}")

    @property
    def said(self) -> str:
        """The refusal in nats.go's words."""
        return (
            f"API error: code={self.code} err_code={self.err_code} description={self.description}"
        )


async def connect(server: Server) -> Client:
    """A connection that gives up at once when nobody listens."""
    try:
        return await nats.connect(
            server.url.split(","),
            user=server.user,
            password=server.password,
            token=server.token,
            connect_timeout=max(1, round(server.timeout)),
            allow_reconnect=False,
            max_reconnect_attempts=1,  # 0 would mean for ever
            reconnect_time_wait=0,
            error_cb=_ignore,
            name="kvcore CLI",
        )
    except (OSError, nats.errors.NoServersError) as error:
        raise CommandError("nats: no servers available for connection") from error
    except nats.errors.Error as error:
        raise CommandError(str(error).replace("nats: '", "nats: ").rstrip("'")) from error


async def _ignore(_error: Exception) -> None:
    """The errors that matter are raised by the call that caused them."""


class Buckets:
    """The key-value buckets of one server."""

    def __init__(self, client: Client, timeout: float) -> None:
        self._client = client
        self._timeout = timeout
        # Its greeting says what the server is written in; nats-py shows it nowhere else.
        self.is_kvcore = client._server_info.get("go") == "python"  # noqa: SLF001

    async def call(self, name: str, body: Json | None = None) -> Json:
        """One JetStream API request; raises `ApiError`."""
        data = b"" if body is None else json.dumps(body).encode()
        try:
            answer = await self._client.request(f"$JS.API.{name}", data, timeout=self._timeout)
        except nats.errors.NoRespondersError as error:
            raise CommandError("nats: JetStream system temporarily unavailable") from error
        except TimeoutError as error:
            raise CommandError("context deadline exceeded") from error
        found: Json = json.loads(answer.data)
        if "error" in found:
            raise ApiError(found["error"])
        return found

    async def create(self, bucket: str, config: Json) -> Json:
        """Make the bucket, or agree to one that is exactly so; its stream's info."""
        check_bucket(bucket)
        try:
            await self.call(f"STREAM.CREATE.KV_{bucket}", config)
        except ApiError as error:
            if error.err_code == _NAME_IN_USE:
                said = error.said.removesuffix(" with a different configuration")
                message = f"nats: bucket name already in use: {bucket}\nnats: {said}"
                raise CommandError(message) from error
            raise
        return await self.info(bucket)

    async def info(self, bucket: str) -> Json:
        """The stream behind the bucket."""
        check_bucket(bucket)
        try:
            return await self.call(f"STREAM.INFO.KV_{bucket}")
        except ApiError as error:
            if error.err_code == _NO_STREAM:
                raise CommandError("nats: bucket not found") from error
            raise

    async def consumers(self, bucket: str) -> list[Json]:
        """The bucket's consumers: its watches, and whatever else reads its stream."""
        found: list[Json] = []
        while True:
            page = await self.call(f"CONSUMER.LIST.KV_{bucket}", {"offset": len(found)})
            consumers = page.get("consumers") or []
            found += consumers
            if not consumers or len(found) >= page["total"]:
                return found

    async def remove(self, bucket: str) -> None:
        """Delete the bucket and all that is in it."""
        check_bucket(bucket)
        try:
            await self.call(f"STREAM.DELETE.KV_{bucket}")
        except ApiError as error:
            if error.err_code == _NO_STREAM:
                message = f"nats: bucket not found: {bucket}\nnats: {error.said}"
                raise CommandError(message) from error
            raise

    async def list(self) -> list[Json]:
        """The streams of all buckets."""
        found: list[Json] = []
        offset = 0
        while True:
            page = await self.call("STREAM.LIST", {"offset": offset})
            streams = page.get("streams") or []
            found += [one for one in streams if one["config"]["name"].startswith("KV_")]
            offset += len(streams)
            if not streams or offset >= page["total"]:
                return found

    async def put(self, bucket: str, key: str, value: bytes, headers: dict[str, str]) -> int:
        """Publish a value or a marker; its revision. Raises `ApiError` when refused."""
        check_key(key)
        subject = f"$KV.{bucket}.{key}"
        try:
            answer = await self._client.request(
                subject, value, timeout=self._timeout, headers=headers or None
            )
        except nats.errors.NoRespondersError as error:
            raise CommandError("nats: no response from stream") from error
        except TimeoutError as error:
            raise CommandError("context deadline exceeded") from error
        except nats.errors.MaxPayloadError as error:
            raise CommandError("nats: maximum payload exceeded") from error
        ack: Json = json.loads(answer.data)
        if "error" in ack:
            raise ApiError(ack["error"])
        return int(ack["seq"])

    async def get(self, bucket: str, key: str, revision: int = 0) -> KeyEntry:
        """The key's value, or its value at `revision`."""
        await self.info(bucket)
        entry = await self.last(bucket, key, revision)
        if entry.operation != "PUT":
            raise CommandError("nats: key not found")
        return entry

    async def last(self, bucket: str, key: str, revision: int = 0) -> KeyEntry:
        """The key's last entry, or the one at `revision`, be it a value or a marker."""
        check_key(key)
        subject = f"$KV.{bucket}.{key}"
        name = f"$JS.API.DIRECT.GET.KV_{bucket}"
        body = b""
        if revision:
            body = json.dumps({"seq": revision}).encode()
        else:
            name += f".{subject}"
        try:
            answer = await self._client.request(name, body, timeout=self._timeout)
        except TimeoutError as error:
            raise CommandError("context deadline exceeded") from error
        except nats.errors.NoRespondersError:
            return await self._get_message(bucket, subject, revision)
        headers = answer.headers or {}
        if headers.get("Status") or headers.get("Nats-Subject") != subject:
            raise CommandError("nats: key not found")
        sequence, created = int(headers["Nats-Sequence"]), headers["Nats-Time-Stamp"]
        return KeyEntry(key, answer.data, sequence, created, _operation(headers))

    async def _get_message(self, bucket: str, subject: str, revision: int) -> KeyEntry:
        """The way for buckets that don't allow direct gets."""
        body: Json = {"seq": revision} if revision else {"last_by_subj": subject}
        try:
            found = (await self.call(f"STREAM.MSG.GET.KV_{bucket}", body))["message"]
        except ApiError as error:
            raise CommandError("nats: key not found") from error
        if found["subject"] != subject:
            raise CommandError("nats: key not found")
        block = base64.b64decode(found.get("hdrs", "")).decode()
        headers = dict(line.split(": ", 1) for line in block.split("\r\n") if ": " in line)
        value = base64.b64decode(found.get("data", ""))
        key = subject.split(".", 2)[2]
        return KeyEntry(key, value, found["seq"], found["time"], _operation(headers))

    async def purge_subject(self, bucket: str, key: str, keep: int) -> None:
        """Remove a key's messages but the newest `keep`."""
        body: Json = {"filter": f"$KV.{bucket}.{key}"}
        if keep:
            body["keep"] = keep
        await self.call(f"STREAM.PURGE.KV_{bucket}", body)

    async def watch(
        self, bucket: str, key: str, *, once: bool, **options: object
    ) -> AsyncIterator[KeyEntry]:
        """Entries as they are delivered; with `once` only those that are there already.

        `options` are fields of a consumer's configuration.
        """
        check_pattern(key)
        await self.info(bucket)
        js = self._client.jetstream(timeout=self._timeout)
        prefix = f"$KV.{bucket}."
        try:
            subscription = await js.subscribe(
                prefix + key,
                stream=f"KV_{bucket}",
                ordered_consumer=True,
                config=js_api.ConsumerConfig(**options),
                inactive_threshold=5.0,
            )
            info = await subscription.consumer_info()
        except JetStreamError as error:
            raise CommandError(str(error)) from error
        left = (info.num_pending or 0) + (info.delivered.consumer_seq if info.delivered else 0)
        try:
            while not once or left:
                message = await subscription.next_msg(timeout=self._timeout if once else None)
                left -= 1
                meta = message.metadata
                yield KeyEntry(
                    message.subject.removeprefix(prefix),
                    message.data,
                    meta.sequence.stream,
                    meta.timestamp.isoformat(),
                    _operation(message.headers or {}),
                    meta.num_pending,
                )
        except TimeoutError as error:
            raise CommandError("context deadline exceeded") from error
        finally:
            if self._client.is_connected:
                await subscription.unsubscribe()
                with suppress(
                    JetStreamError, nats.errors.Error, TimeoutError
                ):  # it goes by itself then
                    current = await subscription.consumer_info()  # may be a later one than `info`
                    await js.delete_consumer(current.stream_name, current.name)


def check_bucket(bucket: str) -> None:
    """Refuse what can't be a bucket's name."""
    if not _BUCKET.fullmatch(bucket):
        raise CommandError("nats: invalid bucket name")


def check_key(key: str) -> None:
    """Refuse what can't be a key."""
    if not _KEY.fullmatch(key) or key.startswith(".") or key.endswith("."):
        raise CommandError("nats: invalid key")


def check_pattern(key: str) -> None:
    """Refuse what can't be a key or a pattern of keys."""
    if not key or not _PATTERN.fullmatch(key) or key.startswith(".") or key.endswith("."):
        raise CommandError("nats: invalid key")


def ttl_header(span: Nanos | None) -> dict[str, str]:
    """The header that lets a message expire; whole seconds, as the clients send it."""
    return {"Nats-TTL": f"{span // SECOND_NS}s"} if span else {}


def _operation(headers: dict[str, str]) -> str:
    marker = headers.get("KV-Operation", "")
    if marker:
        return _OPERATIONS.get(marker, "PUT")
    return _REASONS.get(headers.get("Nats-Marker-Reason", ""), "PUT")
