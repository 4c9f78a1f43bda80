"""Passwords, hashes and signatures: the cryptography that the pure layers are given.

A password in a configuration file is better written as a bcrypt hash (`nats server passwd`
makes one): who reads the file learns nothing that opens the server. Such a hash is slow to
check, on purpose: some 50 ms at the usual cost, in which the server does nothing else. So a
good pair of password and hash is remembered (as a keyed digest, never as text), and a
thousand clients that reconnect cost one check. Wrong passwords cost their time each.

Both libraries are optional: a server without hashes needs no bcrypt, one without nkeys no
cryptography. What is missing is said at start.

Left out: making hashes and keys.
"""

import hashlib
import hmac
import importlib.util
import os
from collections.abc import Iterable

from kvcore.nats.nkeys import public_key, signature_bytes
from kvcore.node.config import NkeyUser, User

_BCRYPT_BYTES = 72  # what bcrypt looks at
_REMEMBERED_COUNT = 1024


class SecretsError(Exception):
    """A secret can't be checked; the text is one sentence."""


def is_hash(password: str) -> bool:
    """Whether a configured password is a bcrypt hash."""
    return password.startswith(("$2a$", "$2b$", "$2y$"))


def require_libraries(users: Iterable[User], nkeys: Iterable[NkeyUser]) -> None:
    """Raises `SecretsError` if a library is missing that these users need."""
    if any(is_hash(user.password) for user in users):
        _require("bcrypt", "bcrypt passwords")
    if any(True for _ in nkeys):
        _require("cryptography", "nkeys")


def _require(package: str, what: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise SecretsError(f"{what} need the package {package}: pip install 'kvcore[secure]'")


class Secrets:
    """The checks of one server."""

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._good: dict[bytes, None] = {}

    def check_secret(self, given: str, kept: str) -> bool:
        """Whether a password or token is the one that is kept, plainly or as a hash."""
        said = given.encode("utf-8", "surrogatepass")
        if is_hash(kept):
            return self._check_hash(said, kept.encode())
        return hmac.compare_digest(said, kept.encode("utf-8", "surrogatepass"))

    def _check_hash(self, said: bytes, kept: bytes) -> bool:
        import bcrypt

        digest = hmac.digest(self._key, hashlib.sha256(said).digest() + kept, "sha256")
        if digest in self._good:
            return True
        try:
            is_good = bcrypt.checkpw(said[:_BCRYPT_BYTES], kept)
        except ValueError:
            return False
        if is_good:
            if len(self._good) >= _REMEMBERED_COUNT:
                self._good.clear()
            self._good[digest] = None
        return is_good


def check_signature(key: str, nonce: bytes, signature: str) -> bool:
    """Whether the owner of this public nkey signed the nonce."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    public, signed = public_key(key), signature_bytes(signature)
    if public is None or signed is None:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signed, nonce)
    except (InvalidSignature, ValueError):
        return False
    return True
