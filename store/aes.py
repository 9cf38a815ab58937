"""AES-128 in cipher block chaining mode, as HLS encrypts whole segments (RFC 8216, 4.3.2.4)."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from store.errors import DecryptionFailed

BLOCK_BYTES = 16


def decrypt_aes128(body: bytes, key: bytes, iv: bytes) -> bytes:
    """Return the plain segment, its PKCS #7 padding taken off.

    Args:
        body: the encrypted segment, whole blocks of 16 bytes.
        key: 16 bytes.
        iv: 16 bytes.

    Raises:
        DecryptionFailed: a length is wrong, or the key does not fit.
    """
    if len(key) != BLOCK_BYTES or len(iv) != BLOCK_BYTES:
        raise DecryptionFailed(f"key and IV have {len(key)} and {len(iv)} bytes, not 16 each")
    if not body or len(body) % BLOCK_BYTES:
        raise DecryptionFailed(f"an encrypted segment of {len(body)} bytes is not whole")
    decryptor = Cipher(AES128(key), CBC(iv)).decryptor()
    padded = decryptor.update(body) + decryptor.finalize()
    unpadder = PKCS7(8 * BLOCK_BYTES).unpadder()
    try:
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError as error:
        raise DecryptionFailed("the key does not fit the segment") from error
