"""Figures for the writing side: building and signing a certificate, opening the keystore, a whole `meter certify`."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from hashlib import scrypt, sha256
from pathlib import Path

from coincurve import PrivateKey

from doitrust.adapters.devnet import Devnet
from doitrust.adapters.keyfile import STANDARD
from doitrust.adapters.keystore import Keystore
from doitrust.adapters.secret import Secret
from doitrust.adapters.signer import KeystoreSigner
from doitrust.adapters.wallet import Wallet
from doitrust.chain.accounts import Account
from doitrust.chain.address import address_of
from doitrust.chain.names import NameOutput
from doitrust.chain.networks import DEVNET
from doitrust.workflows import sending, spending
from doitrust.workflows.spending import Order

_PASSPHRASE = b"a passphrase for a bench"


def bench_sign(timed: Callable[[Callable[[], object], int], float]) -> None:
    """Building and signing a certificate's transaction, against libsecp256k1 signing its inputs' digests."""
    with tempfile.TemporaryDirectory() as folder:
        node, wallet = Devnet(Path(folder) / "net"), Wallet(Path(folder) / "wallet.db", DEVNET)
        store = Keystore(Path(folder) / "keys")
        file = store.add("bench", Secret(sha256(b"bench").digest()), Secret(_PASSPHRASE))
        opened = store.unlock("bench", Secret(_PASSPHRASE), 1)
        signer = KeystoreSigner(file, 1, lambda: _Kept(opened))  # type: ignore[arg-type,return-value]
        source = signer.own(Account.MEMBER)
        node.fund(address_of(source.script, DEVNET) or "", 5 * 100_000_000)
        order = Order(Account.MEMBER, source, NameOutput(b"bp/1EMH0012345678", b"x" * 400, source.script))
        draft = spending.draft(node, wallet, order)
        secret = PrivateKey(bytes(range(1, 33)))
        build = timed(lambda: spending.draft(node, wallet, order), 21)
        sign = timed(lambda: sending.sign(signer, draft), 21)
        bare = timed(lambda: secret.sign(bytes(32), hasher=None), 201)
        node.close()
    print(
        f"sign: building {build * 1e3:.1f} ms, signing and checking {sign * 1e3:.1f} ms;"
        f" libsecp256k1 alone {bare * 1e6:.0f} µs: {sign / bare:.0f} ×"
    )


class _Kept:
    """An unlocked key that stays so: the bench of signing is not one of scrypt."""

    def __init__(self, key: object) -> None:
        self._key = key

    def __enter__(self) -> object:
        return self._key

    def __exit__(self, *_: object) -> None:
        pass


_OPEN = """
import sys, time
from pathlib import Path
from doitrust.adapters.keystore import Keystore
from doitrust.adapters.secret import Secret

def peak():  # ru_maxrss would be that of whoever started us
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])

start, before = time.perf_counter(), peak()
Keystore(Path(sys.argv[1])).unlock("bench", Secret(sys.argv[2].encode()), 1)
print(time.perf_counter() - start, (peak() - before) / 1024)
"""


def bench_open(timed: Callable[[Callable[[], object], int], float]) -> None:
    """Opening the keystore, in a process of its own, against scrypt alone."""
    kdf = STANDARD
    bare = timed(
        lambda: scrypt(_PASSPHRASE, salt=bytes(32), n=kdf.n, r=kdf.r, p=kdf.p, maxmem=2**28, dklen=48), 5
    )
    with tempfile.TemporaryDirectory() as folder:
        Keystore(Path(folder)).add("bench", Secret(sha256(b"bench").digest()), Secret(_PASSPHRASE))
        command = [sys.executable, "-c", _OPEN, folder, _PASSPHRASE.decode()]
        runs = [
            [float(part) for part in subprocess.run(command, capture_output=True, check=True).stdout.split()]
            for _ in range(5)
        ]
    seconds, peak = sorted(runs)[len(runs) // 2]
    print(
        f"open: {seconds * 1e3:.0f} ms and {peak:.0f} MiB, scrypt alone {bare * 1e3:.0f} ms: {seconds / bare:.2f} ×"
    )
