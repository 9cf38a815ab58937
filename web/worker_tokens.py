"""The tokens that workers show: made from the bootstrap secret, good for some minutes.

Law: one algorithm, whatever a token says of itself; and a token says which kinds of work and which
tenant it is for.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import cast, get_args

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from store.control_settings import SECRET_CHARS_MIN
from store.leases import Kind, Pool
from web.errors import WorkerRefused

ALGORITHM = "HS256"
AUDIENCE = "clipthat control"
SKEW_S = 5
"""How far the clocks of two control planes may stand apart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """Who asks, and for what it has been let in."""

    name: str
    kinds: frozenset[Kind]
    pool: Pool
    tenant_id: str


class WorkerTokens:
    """Makes and reads the tokens of one bootstrap secret."""

    def __init__(self, secret: str, life_s: float) -> None:
        """`life_s`: how long a token is good."""
        self._secret = secret.encode()
        self._life_s = round(life_s)
        key = HKDF(SHA256(), 32, salt=None, info=b"clipthat worker tokens").derive(self._secret)
        self._key = OctKey.import_key(key)

    @property
    def ready(self) -> bool:
        """Whether the secret is long enough to let anybody in."""
        return len(self._secret) >= SECRET_CHARS_MIN

    @property
    def life_s(self) -> int:
        """How long a token is good."""
        return self._life_s

    def knows(self, secret: str) -> bool:
        """Say whether this is the bootstrap secret, in a time that tells nothing about it."""
        digests = (hashlib.sha256(each).digest() for each in (secret.encode(), self._secret))
        return self.ready and hmac.compare_digest(*digests)

    def make(self, worker: Worker, now_s: float) -> str:
        """Return a worker's token, good from now (Unix time) for `life_s`."""
        claims = {
            "aud": AUDIENCE,
            "sub": worker.name,
            "tenant": worker.tenant_id,
            "kinds": sorted(worker.kinds),
            "pool": worker.pool,
            "iat": int(now_s),
            "exp": int(now_s) + self._life_s,
            "jti": secrets.token_hex(16),
        }
        return jwt.encode({"alg": ALGORITHM}, claims, self._key, algorithms=[ALGORITHM])

    def read(self, token: str, now_s: float) -> Worker:
        """Return whose token it is.

        Raises:
            WorkerRefused: it was not made here, was changed, or is over.
        """
        rules = jwt.JWTClaimsRegistry(
            now=int(now_s),
            leeway=SKEW_S,
            aud={"essential": True, "value": AUDIENCE},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        )
        try:
            claims = jwt.decode(token, self._key, algorithms=[ALGORITHM]).claims
            rules.validate(claims)
            return Worker(
                name=_text(claims["sub"]),
                kinds=_kinds(claims["kinds"]),
                pool=_pool(claims["pool"]),
                tenant_id=_text(claims["tenant"]),
            )
        except (JoseError, KeyError, ValueError, TypeError) as error:
            # What is wrong with it is told by its class alone: the token itself is a secret.
            raise WorkerRefused(f"the token is not good ({type(error).__name__})") from None


def _text(value: object) -> str:
    if isinstance(value, str) and value:
        return value
    raise ValueError("no text")


def _kinds(value: Collection[str]) -> frozenset[Kind]:
    if not isinstance(value, list) or not set(value) <= set(get_args(Kind)):
        raise ValueError("no kinds")
    return frozenset(cast("list[Kind]", value))


def _pool(value: str) -> Pool:
    if value not in get_args(Pool):
        raise ValueError("no pool")
    return cast("Pool", value)
