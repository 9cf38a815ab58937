"""Sealed texts: open with the right key for the right thing, never lie in clear."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from store.vault import KeyUnusable, SealBroken, Vault, open_vault
from tests.store.state.twitch_world import KEY, OTHER_KEY


def test_opens_what_it_sealed_for_that_thing_only() -> None:
    vault = Vault([KEY])
    sealed = vault.seal("a token", "acme/1/access")
    assert "a token" not in sealed
    assert vault.open(sealed, "acme/1/access") == "a token"
    for about in ("other/1/access", "acme/1/refresh", ""):
        with pytest.raises(SealBroken):
            vault.open(sealed, about)
    for wrong in ("", "nonsense", sealed[:-4], "é"):
        with pytest.raises(SealBroken):
            vault.open(wrong, "acme/1/access")
    with pytest.raises(SealBroken):
        Vault([OTHER_KEY]).open(sealed, "acme/1/access")
    assert KEY not in repr(vault)


def test_older_keys_open_and_the_newest_seals() -> None:
    old = Vault([KEY]).seal("a token", "x")
    both = Vault([OTHER_KEY, KEY])
    assert both.open(old, "x") == "a token"
    assert both.outdated(old)
    new = both.seal("a token", "x")
    assert not both.outdated(new)
    assert Vault([OTHER_KEY]).open(new, "x") == "a token"


def test_a_key_file_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "twitch.key"
    with ThreadPoolExecutor(8) as pool:
        vaults = list(pool.map(lambda _: open_vault((), path), range(32)))
    sealed = vaults[0].seal("a token", "x")
    assert {vault.open(sealed, "x") for vault in vaults} == {"a token"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["twitch.key"]


def test_given_keys_make_no_file(tmp_path: Path) -> None:
    open_vault((KEY,), tmp_path / "key")
    assert list(tmp_path.iterdir()) == []


def test_wrong_keys_are_told_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(KeyUnusable) as told:
        Vault(["not a key"])
    assert "not a key" not in str(told.value)
    broken = tmp_path / "key"
    broken.write_bytes(b"\xff\xfe")
    with pytest.raises(KeyUnusable):
        open_vault((), broken)
    with pytest.raises(KeyUnusable):
        open_vault((), broken / "below a file")
