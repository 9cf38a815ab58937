"""Encrypts as an HLS packager does."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC


def encrypt_aes128(plain: bytes, key: bytes, iv: bytes) -> bytes:
    padding = 16 - len(plain) % 16
    encryptor = Cipher(AES128(key), CBC(iv)).encryptor()
    return encryptor.update(plain + bytes([padding]) * padding) + encryptor.finalize()
