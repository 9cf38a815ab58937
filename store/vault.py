"""What must not lie anywhere in clear: sealed texts, and the keys that open them.

Law: a sealed text opens only with one of the keys and only for what it was sealed for; the keys
never lie in the database.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from store.errors import StoreError

_SEPARATOR = b"\0"


class SealBroken(StoreError):
    """No key opens this text, or it was sealed for something else."""


class KeyUnusable(StoreError):
    """A key is no Fernet key, or its file cannot be read or made."""


class Vault:
    """Seals and opens short texts. Made by `open_vault`."""

    def __init__(self, keys: Sequence[str]) -> None:
        """`keys`: Fernet keys, the newest first.

        Raises:
            KeyUnusable: one of them is none.
        """
        try:
            fernets = [Fernet(key) for key in keys]
            self._newest, self._all = fernets[0], MultiFernet(fernets)
        except (ValueError, IndexError):
            raise KeyUnusable(
                "a key in twitch.token_keys is no Fernet key: 32 bytes in URL-safe base64"
            ) from None

    def __repr__(self) -> str:
        return "Vault()"

    def seal(self, text: str, about: str) -> str:
        """Encrypt a text; `about` says what it is for, and is asked for again when it is opened."""
        return self._newest.encrypt(about.encode() + _SEPARATOR + text.encode()).decode()

    def open(self, sealed: str, about: str) -> str:
        """Return what was sealed.

        Raises:
            SealBroken: none of the keys opens it, or it is about something else.
        """
        try:
            told, _, text = self._all.decrypt(sealed.encode()).partition(_SEPARATOR)
        except InvalidToken:
            raise SealBroken("none of the keys opens it") from None
        if told != about.encode():
            raise SealBroken("it was sealed for something else")
        return text.decode()

    def outdated(self, sealed: str) -> bool:
        """Whether an older key than the newest has sealed it."""
        try:
            self._newest.decrypt(sealed.encode())
        except InvalidToken:
            return True
        return False


def open_vault(keys: Sequence[str], key_file: Path) -> Vault:
    """Return the vault of the given keys, or of a key file that is made when there is none.

    Raises:
        KeyUnusable: a key is none, or the file cannot be read or made.
    """
    if keys:
        return Vault(keys)
    try:
        return Vault([_key_in(key_file)])
    except (OSError, UnicodeDecodeError) as error:
        raise KeyUnusable(f"the key in {key_file} cannot be used: {error}") from error


def _key_in(path: Path) -> str:
    """Read the key. Of several processes that make it at once one wins, and all read that one's."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            with os.fdopen(
                os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
            ) as file:
                file.write(Fernet.generate_key())
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(draft)  # whole or not at all, and never over another's
        finally:
            draft.unlink(missing_ok=True)
    return path.read_text(encoding="ascii").strip()
