from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.aes import decrypt_aes128
from store.errors import DecryptionFailed
from tests.store.encrypt import encrypt_aes128

SIXTEEN = st.binary(min_size=16, max_size=16)


@given(plain=st.binary(max_size=200), key=SIXTEEN, iv=SIXTEEN)
def test_what_was_encrypted_comes_back(plain: bytes, key: bytes, iv: bytes) -> None:
    assert decrypt_aes128(encrypt_aes128(plain, key, iv), key, iv) == plain


def test_the_published_vector_agrees() -> None:
    """NIST SP 800-38A, F.2.1, its first block, with a block of padding behind it."""
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    iv = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
    body = bytes.fromhex("7649abac8119b246cee98e9b12e9197d")
    with pytest.raises(DecryptionFailed, match="does not fit"):
        decrypt_aes128(body, key, iv)
    plain = bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")
    assert encrypt_aes128(plain, key, iv)[:16] == body


@pytest.mark.parametrize(
    ("body", "key", "iv"),
    [
        (b"x" * 16, b"k" * 15, b"i" * 16),
        (b"x" * 16, b"k" * 16, b""),
        (b"x" * 17, b"k" * 16, b"i" * 16),
        (b"", b"k" * 16, b"i" * 16),
    ],
)
def test_wrong_lengths_are_refused(body: bytes, key: bytes, iv: bytes) -> None:
    with pytest.raises(DecryptionFailed):
        decrypt_aes128(body, key, iv)
