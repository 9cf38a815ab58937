"""A service account that exists here only, and how Google looks at what it has signed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

EMAIL = "clipthat@tests.iam.gserviceaccount.com"
HOST = "storage.googleapis.com"
_SIGNATURE = "X-Goog-Signature"


class ServiceAccount:
    """A throw-away key in the form of Google's key files."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @cached_property
    def told(self) -> dict[str, str]:
        """What Google's key file says."""
        pem = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return {
            "type": "service_account",
            "client_email": EMAIL,
            "private_key_id": "for-tests",
            "private_key": pem.decode(),
            "token_uri": "https://oauth2.googleapis.com/token",
        }

    def environment(self, folder: Path) -> dict[str, str]:
        """Write the key file into a folder; returns what a process that works as this account has
        in its environment."""
        path = folder / "key.json"
        path.write_text(json.dumps(self.told))
        return {"GOOGLE_APPLICATION_CREDENTIALS": str(path)}

    def is_ours(self, token: str) -> bool:
        """Say whether a bearer token is one that the account has signed itself (AIP-4111)."""
        try:
            key = RSAKey.import_key(self.told["private_key"])
            claims = jwt.decode(token, key, algorithms=["RS256"]).claims
        except (JoseError, ValueError):
            return False
        return claims["iss"] == EMAIL and claims["exp"] - claims["iat"] <= 3600

    def has_signed(self, method: str, path: str, query: Mapping[str, str]) -> bool:
        """Say whether an address bears the account's V4 signature.

        `path` as it was sent, `query` decoded; by Google's page "Canonical requests".
        """
        asked = "&".join(
            f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
            for name, value in sorted(query.items())
            if name != _SIGNATURE
        )
        canonical = "\n".join((method, path, asked, f"host:{HOST}", "", "host", "UNSIGNED-PAYLOAD"))
        scope = query.get("X-Goog-Credential", "").partition("/")[2]
        told = "\n".join(
            (
                "GOOG4-RSA-SHA256",
                query.get("X-Goog-Date", ""),
                scope,
                hashlib.sha256(canonical.encode()).hexdigest(),
            )
        )
        try:
            self._key.public_key().verify(
                bytes.fromhex(query.get(_SIGNATURE, "")),
                told.encode(),
                padding.PKCS1v15(),
                hashes.SHA256(),
            )
        except (InvalidSignature, ValueError):
            return False
        return query.get("X-Goog-Credential", "").startswith(f"{EMAIL}/")
