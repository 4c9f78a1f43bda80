"""Nkeys as text: a public key that says what it is and notices a typing mistake.

An nkey is an ed25519 key written in base32, for people to copy: one byte that says whose it
is (the first letter, `U` for a user), the key, and a checksum.

    base32( kind ┊ 32 bytes of key ┊ CRC-16/XMODEM, little-endian )

A client that has the private key signs the nonce of the server's INFO and sends the public
key and the signature, in base64.

Left out: private keys (seeds), which a server never sees, and checking signatures, which
comes in as a function.
"""

import base64
import binascii

USER = 20 << 3  # the first five bits make the letter U
_TEXT_CHARS = 56
_STANDARD = str.maketrans("-_", "+/")


def public_key(text: str) -> bytes | None:
    """The 32 bytes of a user's public key; None if the text is none."""
    if len(text) != _TEXT_CHARS or not text.isascii():
        return None
    try:
        raw = base64.b32decode(text)
    except binascii.Error:
        return None
    body, checksum = raw[:-2], raw[-2:]
    if body[0] != USER or binascii.crc_hqx(body, 0).to_bytes(2, "little") != checksum:
        return None
    return body[1:]


def signature_bytes(text: str) -> bytes | None:
    """A signature in either alphabet of base64, padded or not; None if it is none."""
    words = text.rstrip("=").translate(_STANDARD)
    try:
        return base64.b64decode(words + "=" * (-len(words) % 4), validate=True)
    except ValueError:
        return None
