"""Signing with a key of the keystore."""

from collections.abc import Callable, Iterator
from functools import partial

from doitrust.adapters.keyfile import KeyFile
from doitrust.adapters.keystore import UnlockedKey
from doitrust.chain.accounts import Account, account_path
from doitrust.chain.address import hash160
from doitrust.chain.bip32 import ExtendedKey, KeyOrigin
from doitrust.chain.descriptors import OwnScript
from doitrust.chain.mandate import Mandate
from doitrust.chain.messages import encode_signature, message_digest
from doitrust.chain.psbt import Psbt
from doitrust.chain.psbt_sign import lock_of, sign
from doitrust.chain.scripts import p2wpkh
from doitrust.errors import Unavailable
from doitrust.ports import Signer


class KeystoreSigner(Signer):
    """A key of the keystore: its public part is in `file`, `unlock` asks for the passphrase when it is needed."""

    def __init__(self, file: KeyFile, coin_type: int, unlock: Callable[[], UnlockedKey]) -> None:
        self.name = f"keystore:{file.name}"
        self._file = file
        self._coin_type = coin_type
        self._unlock = unlock

    def own(self, account: Account) -> OwnScript:
        """The account's P2WPKH script."""
        key = self._extended(account).child(0).child(0).key
        return OwnScript(p2wpkh(hash160(key)), origins={key: self._origin(account).below(0, 0)})

    def _sign(self, psbt: Psbt, mandate: Mandate) -> Psbt:
        wanted = [
            (index, key, path)
            for index in range(len(psbt.inputs))
            if not psbt.inputs[index].is_final
            for key, path in self._keys(psbt, index, mandate.account)
        ]
        if not wanted:
            return psbt
        with self._unlock() as unlocked:
            for index, key, path in wanted:
                psbt = sign(psbt, index, key, partial(unlocked.sign, path))
        return psbt

    def sign_message(self, account: Account, text: str) -> tuple[bytes, str]:
        """Sign a text with the account's key 0/0 (`doitrust.chain.messages`)."""
        key = self._extended(account).child(0).child(0).key
        path = (*account_path(self._coin_type, account), 0, 0)
        with self._unlock() as unlocked:
            der = unlocked.sign(path, message_digest(text))
        return key, encode_signature(key, der, text)

    def _keys(self, psbt: Psbt, index: int, account: Account) -> Iterator[tuple[bytes, tuple[int, ...]]]:
        """Our keys that an input takes: key 0/0 of the account, and those that the PSBT says are in it."""
        lock, inside = lock_of(psbt, index), account_path(self._coin_type, account)
        extended = self._extended(account)
        places = {(0, 0)}
        for origin in psbt.inputs[index].origins.values():
            if origin.fingerprint == self._file.fingerprint and origin.path[:3] == inside:
                change, *rest = origin.path[3:] or (2,)
                if change in (0, 1) and len(rest) == 1 and rest[0] < 2**31:
                    places.add((change, rest[0]))
        for place in sorted(places):
            key = extended.child(place[0]).child(place[1]).key
            if lock.takes(key) and key not in psbt.inputs[index].partial_signatures:
                yield key, (*inside, *place)

    def _extended(self, account: Account) -> ExtendedKey:
        accounts = self._file.accounts.get(self._coin_type)
        if accounts is None:
            raise Unavailable(
                f"the key {self._file.name} has no public part for coin type {self._coin_type} yet",
                hint=f"doitrust key show {self._file.name}",
            )
        return accounts[account]

    def _origin(self, account: Account) -> KeyOrigin:
        return KeyOrigin(self._file.fingerprint, account_path(self._coin_type, account))
