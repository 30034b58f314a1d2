"""Transactions, good and bad, of every rule: what a mempool and a block shall say of each is found out by asking."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from devnet_world import (
    ALICE,
    BOB,
    FEE,
    FINAL,
    MINER,
    NAME_AMOUNT,
    Coin,
    Key,
    World,
    coin_of,
    transaction,
    written,
)

from doitrust.adapters.devnet import params
from doitrust.adapters.devnet.miner import Chosen, coinbase
from doitrust.chain.address import hash160, sha256
from doitrust.chain.block import Block
from doitrust.chain.names import (
    NAME_TX_VERSION,
    OP_NAME_FIRSTUPDATE,
    OP_NAME_NEW,
    OP_NAME_UPDATE,
    name_script,
)
from doitrust.chain.scripts import multisig_script, p2sh, p2wsh, push
from doitrust.chain.tx import Input, Output, Transaction

DOI = 100_000_000
#: A name's coin beside the coin that pays the fee.
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
REDEEM = multisig_script(1, [ALICE.public, BOB.public])
RAND = b"some salt"


#: A label, what makes the transaction, and how the reasons begin: a mempool's, and a block's if it is another.
Row = tuple[Any, ...]


class Case(NamedTuple):
    """A transaction. `waiting` and `mined`: how a mempool's and a block's reason begin, empty if it is accepted."""

    label: str
    tx: Transaction
    waiting: str
    mined: str


class Cases:
    """The transactions that can be made in a world. Making them mines blocks there, for what they need."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.devnet.automine(False)
        self._used: set[tuple[str, int]] = set()

    def _mined(self, tx: Transaction) -> Coin:
        self.world.devnet.mine_with([tx.raw])
        return coin_of(tx, 0, ALICE)

    def _paid(self, script: bytes) -> Coin:
        return self._mined(self.world.pay(Output(DOI, script)))

    def _named(self, *outputs: Output, coins: Sequence[Coin] = (), fee: int = FEE) -> Transaction:
        return self.world.pay(*outputs, coins=[*coins, self.world.coin()], version=NAME_TX_VERSION, fee=fee)

    def all(self) -> Iterator[Case]:
        """Every case, from the world as it is at that moment: an accepted one may be mined before the next.

        What stops a core is left out: a name_update without a name input, or of a name that was overwritten.
        """
        for part in (self.forms, self.amounts, self.locks, self.names, self.signatures, self.scripts):
            for label, make, waiting, *mined in part():
                yield Case(f"{part.__name__}: {label}", make(), waiting, mined[0] if mined else waiting)

    def _pay(self, *outputs: Output, version: int = 2, fee: int = FEE) -> Callable[[], Transaction]:
        return lambda: self.world.pay(*outputs, version=version, fee=fee)

    def _from(self, coin: Coin, *outputs: Output, **more: int) -> Callable[[], Transaction]:
        """Pay from one coin, all of it but the fee if there are no outputs."""
        paid = outputs or [Output(coin.value - FEE, BOB.p2wpkh)]
        return lambda: transaction([coin], paid, **more)

    def forms(self) -> Iterator[Row]:
        """What is standard, and what can be a transaction at all."""
        paid = Output(DOI, ALICE.p2wpkh)
        yield "an ordinary payment", self._pay(paid), ""
        yield "version 1", self._pay(paid, version=1), ""
        for version in (0, 3, 0x7101, 0x7000, 2**31, 2**32 - 1):
            yield f"version {version:#x}", self._pay(paid, version=version), "version", ""
        for label, script in {
            "OP_TRUE": b"\x51",
            "an empty script": b"",
            "a witness program of an unknown size": b"\x00\x03abc",
            "a future witness version": b"\x52\x02ab",
            "a data output of 84 bytes": b"\x6a" + push(bytes(81)),
            "a data output of no pushes": b"\x6a\x61",
            "4 keys": multisig_script(1, [ALICE.public] * 4),
            "3 keys": multisig_script(1, [ALICE.public] * 3),
            "0 of 1 keys": b"\x00" + push(ALICE.public) + b"\x51\xae",
            "a key that is none": push(bytes(33)) + b"\xac",
            "a key": push(ALICE.public) + b"\xac",
            "a data output": b"\x6a" + push(bytes(80)),
            "a cut push": b"\x4c",
            "a name_doi in version 2": name_script(b"n", b"v", ALICE.p2wpkh),
        }.items():
            good = label in ("3 keys", "a key", "a data output", "a future witness version")
            waiting = (
                "" if good else "tx-nonname-with-name-output" if "version 2" in label else "scriptpubkey"
            )
            yield label, self._pay(Output(10**6, script)), waiting, waiting if "version 2" in label else ""
        data = Output(0, b"\x6a" + push(b"note"))
        yield "two data outputs", self._pay(data, data), "multi-op-return", ""
        yield "no outputs", lambda: transaction([self.world.coin()], []), "bad-txns-vout-empty"
        yield "too small", self._small, "tx-size-small", ""
        yield "too heavy", self._pay(*[Output(1000, ALICE.p2wpkh)] * 3400, fee=12_000_000), "tx-size", ""
        yield "a coinbase", lambda: coinbase(200, Chosen((), 0), 7), "coinbase", "bad-cb-multiple"
        one = Output(2000, multisig_script(1, [ALICE.public]))
        yield "15921 of sigops", self._pay(*[one] * 199, fee=10**7), ""
        yield "16001 of sigops", self._pay(*[one] * 200, fee=10**7), "bad-txns-too-many-sigops", ""
        twice = lambda: transaction([self.world.coin()] * 2, [paid])  # noqa: E731
        yield "an input twice", twice, "bad-txns-inputs-duplicate"
        null = Input("00" * 32, FINAL, b"\x01\x02", ())
        yield (
            "a null input",
            lambda: Transaction.build(2, 0, [(null, FINAL), (Input("11" * 32, 0, b"", ()), FINAL)], [paid]),
            "bad-txns-prevout-null",
        )

    def _small(self) -> Transaction:
        coin = self.world.coin()
        return transaction([coin], [Output(coin.value - FEE, b"\x6a")])

    def amounts(self) -> Iterator[Row]:
        """Coins, fees, dust."""
        for script, least in (
            (ALICE.p2wpkh, 294),
            (ALICE.p2pkh, 546),
            (p2wsh(bytes(32)), 330),
            (p2sh(bytes(20)), 540),
        ):
            yield f"{least} in an output", self._pay(Output(least, script)), ""
            yield f"{least - 1} in an output", self._pay(Output(least - 1, script)), "dust", ""
        paid = Output(DOI, ALICE.p2wpkh)
        size = 141
        yield "the least fee", self._pay(paid, fee=size * 100), ""
        yield "less than the least fee", self._pay(paid, fee=size * 100 - 1), "min relay fee not met", ""
        yield "no fee", self._pay(paid, fee=0), "min relay fee not met", ""
        yield "the highest fee", self._pay(paid, fee=size * 10_000), ""
        yield "more than the highest fee", self._pay(paid, fee=size * 10_000 + 1), "absurdly-high-fee", ""
        yield "more than there is", self._pay(paid, fee=-1), "bad-txns-in-belowout"
        for value, why in (
            (params.MAX_MONEY + 1, "bad-txns-vout-toolarge"),
            (2**63 - 1, "bad-txns-vout-toolarge"),
            (2**64 - 1, "bad-txns-vout-negative"),
        ):
            yield f"an output of {value}", lambda value=value: self._patched(value), why
        most = Output(params.MAX_MONEY, ALICE.p2wpkh)
        yield "outputs of too much", self._pay(most, most, fee=0), "bad-txns-txouttotal-toolarge"
        yield "an output of all money", self._from(self._fresh(), most), "bad-txns-in-belowout"
        missing = replace(self._fresh(), vout=9)
        yield "an output that isn't there", self._from(missing), "bad-txns-inputs-missingorspent"
        unknown = replace(self._fresh(), txid="11" * 32)
        yield "a transaction that isn't there", self._from(unknown), "bad-txns-inputs-missingorspent"
        old = self._mined(self.world.write("bp/old", "1"))
        self.world.devnet.mine(30)
        expired = lambda: self._named(written("bp/old", "2", ALICE), coins=[old])  # noqa: E731
        yield "a coin of an expired name", expired, "bad-txns-inputs-missingorspent"
        yield "an immature coinbase", self._immature(99), "bad-txns-premature-spend-of-coinbase"
        yield "a new coinbase", self._immature(1), "bad-txns-premature-spend-of-coinbase"
        yield "a mature coinbase", self._immature(100), ""

    def _patched(self, value: int) -> Transaction:
        mark = 123_456_789
        raw = self.world.pay(Output(mark, ALICE.p2wpkh)).raw
        return Transaction.parse(raw.replace(mark.to_bytes(8, "little"), value.to_bytes(8, "little")))

    def _immature(self, depth: int) -> Callable[[], Transaction]:
        def make() -> Transaction:
            raw = self.world.devnet.block(self.world.devnet.tip().height + 1 - depth) or b""
            coin = coin_of(Block.parse(raw).transactions[0], 0, MINER)
            return transaction([coin], [Output(coin.value - FEE, ALICE.p2wpkh)])

        return make

    def locks(self) -> Iterator[Row]:
        """Lock times and relative locks."""
        tip = self.world.devnet.tip().height
        for label, lock_time in (("height", tip + 5), ("time", 2 * 10**9)):
            locked = self._from(replace(self._fresh(), sequence=0), lock_time=lock_time)
            yield f"a {label} to come", locked, "non-final", "bad-txns-nonfinal"
        # In blocks relative locks hold from height 432 on only.
        for label, sequence in (("blocks", 5_000), ("time", 1 << 22 | 0xFFFF)):
            yield (
                f"a relative lock by {label}",
                self._from(replace(self._fresh(), sequence=sequence)),
                "non-BIP68-final",
                "",
            )
        over = replace(self._fresh(), sequence=0)
        yield "a lock that is over", self._from(over, lock_time=tip), ""
        yield "a lock on a final input", self._from(self._fresh(), lock_time=tip + 500), ""
        yield "a relative lock in version 1", self._from(replace(self._fresh(), sequence=5000), version=1), ""
        yield "a relative lock that is over", self._from(replace(self._fresh(), sequence=1)), ""

    def _fresh(self) -> Coin:
        """A mature coin of the miner's that no other case spends."""
        for found in reversed(self.world.devnet.coins(MINER.p2wpkh)):
            if found.mature and found.value > DOI and (found.txid, found.vout) not in self._used:
                self._used.add((found.txid, found.vout))
                return World.of(found, MINER)
        raise AssertionError("no coin is left")

    def names(self) -> Iterator[Row]:  # noqa: PLR0915  # a list
        """Name outputs and name inputs."""
        new_coin = self._mined(self._named(new(hash160(RAND + b"id/x"))))
        self.world.devnet.mine(9)
        x, y, lost = (self._mined(self.world.write(name, "1")) for name in ("bp/x", "bp/y", "bp/lost"))
        own = self._mined(self.world.write("bp/own", "1"))
        self._mined(self.world.write("bp/lost", "2", BOB))
        good, other = written("bp/x", "2", ALICE), written("bp/y", "2", ALICE)

        def named(*outputs: Output, coins: Sequence[Coin] = (), fee: int = FEE) -> Callable[[], Transaction]:
            return lambda: self._named(*outputs, coins=coins, fee=fee)

        def plain(*outputs: Output, coins: Sequence[Coin] = ()) -> Callable[[], Transaction]:
            return lambda: self.world.pay(*outputs, coins=[*coins, self.world.coin()])

        paid = Output(DOI, BOB.p2wpkh)
        yield "a name output in version 2", plain(good), "tx-nonname-with-name-output"
        yield "a name input in version 2", plain(paid, coins=[x]), "tx-nonname-with-name-input"
        yield "both in version 2", plain(good, coins=[x]), "tx-nonname-with-name-input"
        yield "the version alone", self._pay(paid, version=NAME_TX_VERSION), "tx-name-without-name-output"
        yield "a name that is given up", named(paid, coins=[x]), "tx-name-without-name-output"
        yield "two name outputs", named(good, other), "tx-multiple-name-outputs"
        yield "two name inputs", named(good, coins=[x, y]), "tx-multiple-name-inputs"
        yield "a greedy name", named(good._replace(value=NAME_AMOUNT - 1)), "tx-name-greedy"
        yield "an empty name output", named(good._replace(value=0)), "dust", "tx-name-greedy"
        for name, value, why in (
            (bytes(256), b"v", "tx-name-invalid"),
            (b"n", bytes(1024), "tx-value-invalid"),
            (bytes(255), bytes(520), ""),
            (b"", b"", ""),
            (b"n", bytes(1023), ""),
            (b"n", bytes(521), ""),
            (b"d/example", b"{}", ""),
            ("dä/ö".encode(), "ü".encode(), ""),
        ):
            output = Output(NAME_AMOUNT, name_script(name, value, ALICE.p2wpkh))
            yield f"{len(name)} bytes of name, {len(value)} of value", named(output, fee=250_000), why
        yield "more than the least amount", named(good._replace(value=5 * NAME_AMOUNT)), ""
        yield "a name owned by P2PKH", named(good._replace(script=name_script(b"bp/x", b"3", BOB.p2pkh))), ""
        yield (
            "an owner that anyone is",
            named(Output(NAME_AMOUNT, name_script(b"m", b"v", b"\x51"))),
            "scriptpubkey",
            "",
        )
        yield (
            "a name without owner",
            named(Output(NAME_AMOUNT, name_script(b"m", b"v", b""))),
            "scriptpubkey",
            "",
        )
        drops = b"\x5a" + push(b"m") + push(b"v") + b"\x75\x75\x75\x61" + ALICE.p2wpkh
        yield "other drops", named(Output(NAME_AMOUNT, drops)), ""
        pushed = b"\x5a\x4c\x01m\x4d\x01\x00v\x6d\x75" + ALICE.p2wpkh
        yield "other pushes", named(Output(NAME_AMOUNT, pushed)), ""
        three = b"\x5a" + push(b"m") + push(b"v") + push(b"w") + b"\x6d\x75" + ALICE.p2wpkh
        yield "three pushes", named(Output(NAME_AMOUNT, three)), "scriptpubkey", "tx-name-without-name-output"
        yield "another's name, without input", named(written("bp/y", "mine", BOB)), ""
        yield (
            "a name that isn't there, from a name",
            named(written("bp/none", "1", ALICE), coins=[x]),
            ("tx-nameupdate-nonexistant"),
        )
        yield "a name_doi from a name_new", named(good, coins=[new_coin]), "tx-name-doi-not-name-doi-input"
        yield "a name_new from a name", named(new(bytes(20)), coins=[x]), "tx-namenew-with-name-input"
        yield "a short name_new", named(new(bytes(19))), "tx-namenew-wrong-size"
        yield "a name_new", named(new(bytes(20))), ""
        yield (
            "a name_update from a name_new",
            named(update(b"bp/x"), coins=[new_coin]),
            "tx-nameupdate-invalid-prev",
        )
        yield (
            "a name_update of another name",
            named(update(b"bp/z"), coins=[y]),
            "tx-nameupdate-name-mismatch",
        )
        yield "a name_firstupdate without input", named(first(b"id/x", RAND)), "tx-firstupdate-nonnew-input"
        yield (
            "a name_firstupdate from a name",
            named(first(b"id/x", RAND), coins=[y]),
            "tx-firstupdate-nonnew-input",
        )
        for label, output, why in (
            ("with another salt", first(b"id/x", b"other"), "tx-firstupdate-hash-mismatch"),
            ("of another name", first(b"id/y", RAND), "tx-firstupdate-hash-mismatch"),
            ("with a long salt", first(b"id/x", bytes(21)), "tx-firstupdate-invalid-rand"),
            ("as it should be", first(b"id/x", RAND), ""),
        ):
            yield f"a name_firstupdate {label}", named(output, coins=[new_coin]), why
        yield "a lost coin, for its own name", named(written("bp/lost", "3", ALICE), coins=[lost]), ""
        yield "an update", named(written("bp/own", "2", ALICE), coins=[own]), ""
        doi = self._mined(self.world.write("bp/other", "1"))
        updated = self._named(update(b"bp/other"), coins=[doi])
        yield "a name_update from a name_doi", lambda: updated, ""
        back = named(written("bp/other", "3", ALICE), coins=[coin_of(updated, 0, ALICE)])
        yield "a name_doi from a name_update", back, "tx-name-doi-not-name-doi-input"
        again = self._mined(self._named(new(hash160(RAND + b"bp/other"))))
        self.world.devnet.mine(12)
        taken = named(first(b"bp/other", RAND), coins=[again])
        yield "a name_firstupdate of a name that exists", taken, "tx-firstupdate-existing-name"
        early = self._mined(self._named(new(hash160(RAND + b"id/early"))))
        # It waits from now on, until the devnet's miner can take it.
        yield (
            "an early name_firstupdate",
            named(first(b"id/early", RAND), coins=[early]),
            "",
            "tx-firstupdate-immature",
        )

    def signatures(self) -> Iterator[Row]:
        """P2WPKH and P2PKH, well and badly signed."""
        for kind in ("p2wpkh", "p2pkh"):
            segwit = kind == "p2wpkh"
            bad = "non-mandatory-script-verify-flag" if segwit else "mandatory-script-verify-flag-failed"
            policy = "non-mandatory-script-verify-flag"
            script = ALICE.p2wpkh if segwit else ALICE.p2pkh
            make = Spending(partial(self._paid, script), segwit=segwit)
            yield f"{kind}: a flipped bit", make.changed(lambda s: s[:10] + bytes([s[10] ^ 1]) + s[11:]), bad
            yield f"{kind}: another's key", make.by(BOB), bad
            yield (
                f"{kind}: another amount",
                make.worth(DOI - 1),
                policy if segwit else "",
                bad if segwit else "",
            )
            yield f"{kind}: no signature", make.changed(lambda _: b""), bad
            yield f"{kind}: high S", make.changed(high_s), policy, ""
            for hash_type in (0, 4, 0x80, 0x41):
                yield f"{kind}: sighash type {hash_type:#x}", make.typed(hash_type), policy, ""
            for hash_type in (2, 3, 0x81, 0x82, 0x83):
                yield f"{kind}: sighash type {hash_type:#x}", make.typed(hash_type), ""
            yield f"{kind}: cut", make.changed(lambda s: s[:-3]), bad
            yield f"{kind}: no DER", make.changed(lambda s: s[:1] + b"\x00" + s[2:]), policy, ""
            yield f"{kind}: trailing bytes", make.changed(lambda s: s[:-1] + b"\x00" + s[-1:]), policy, ""

    def scripts(self) -> Iterator[Row]:  # noqa: C901, PLR0915  # a list
        """Outputs of every kind, spent well and badly."""
        bad, policy = "mandatory-script-verify-flag-failed", "non-mandatory-script-verify-flag"
        owners = {
            "p2pkh": ALICE.p2pkh,
            "p2wsh": p2wsh(sha256(REDEEM)),
            "p2sh": p2sh(hash160(REDEEM)),
            "p2sh-p2wpkh": p2sh(hash160(ALICE.p2wpkh)),
            "p2pk": push(ALICE.public) + b"\xac",
            "multisig": REDEEM,
            "anyone": b"\x51",
            "anyone-p2wsh": p2wsh(sha256(b"\x51")),
            "future": b"\x52\x02ab",
            "cltv": p2wsh(sha256(push((10**6).to_bytes(3, "little")) + b"\xb1\x75\x51")),
            "csv": p2wsh(sha256(b"\x02\xff\x00\xb2\x75\x51")),
            "name-p2pkh": name_script(b"bp/legacy", b"v", ALICE.p2pkh),
            "name-p2wsh": name_script(b"bp/wsh", b"v", p2wsh(sha256(REDEEM))),
            "name-p2sh": name_script(b"bp/sh", b"v", p2sh(hash160(REDEEM))),
            "name-large": name_script(b"bp/large", b"v" * 521, ALICE.p2wpkh),
        }

        def funded(label: str) -> Coin:
            name = label.startswith("name")
            output = Output(NAME_AMOUNT if name else DOI, owners[label])
            return self._mined(self.world.pay(output, version=NAME_TX_VERSION if name else 2, fee=150_000))

        def spend(
            label: str, build: Callable[[Transaction, Coin], Input], name: str = ""
        ) -> Callable[[], Transaction]:
            def make() -> Transaction:
                coin = funded(label)
                if name:
                    outputs = [Output(NAME_AMOUNT, name_script(name.encode(), b"2", BOB.p2wpkh))]
                    return self._beside(coin, outputs, build)
                outputs = [Output(coin.value - 3 * FEE, BOB.p2wpkh)]
                bare = Transaction.build(2, 0, [(Input(coin.txid, coin.vout, b"", ()), FINAL)], outputs)
                return Transaction.build(2, 0, [(build(bare, coin), FINAL)], outputs)

            return make

        def sig(bare: Transaction, coin: Coin, code: bytes, *, segwit: bool, key: Key = BOB) -> bytes:
            return key.sign(bare.signature_hash(0, code, coin.value if segwit else None, 1))

        def wsh(bare: Transaction, coin: Coin) -> Input:
            return bare.inputs[0]._replace(witness=(b"", sig(bare, coin, REDEEM, segwit=True), REDEEM))

        def sh(bare: Transaction, coin: Coin) -> Input:
            return bare.inputs[0]._replace(
                script_sig=b"\x00" + push(sig(bare, coin, REDEEM, segwit=False)) + push(REDEEM)
            )

        def nested(bare: Transaction, coin: Coin) -> Input:
            signature = sig(bare, coin, ALICE.p2pkh, segwit=True, key=ALICE)
            return bare.inputs[0]._replace(script_sig=push(ALICE.p2wpkh), witness=(signature, ALICE.public))

        def pk(bare: Transaction, coin: Coin) -> Input:
            return bare.inputs[0]._replace(
                script_sig=push(sig(bare, coin, coin.script, segwit=False, key=ALICE))
            )

        def multi(bare: Transaction, coin: Coin) -> Input:
            return bare.inputs[0]._replace(script_sig=b"\x00" + push(sig(bare, coin, REDEEM, segwit=False)))

        def dummy(bare: Transaction, coin: Coin) -> Input:
            return bare.inputs[0]._replace(script_sig=b"\x51" + push(sig(bare, coin, REDEEM, segwit=False)))

        def legacy(bare: Transaction, coin: Coin) -> Input:
            signature = sig(bare, coin, coin.script, segwit=False, key=ALICE)
            return bare.inputs[0]._replace(script_sig=push(signature) + push(ALICE.public))

        def without_prefix(bare: Transaction, coin: Coin) -> Input:
            signature = sig(bare, coin, ALICE.p2pkh, segwit=False, key=ALICE)
            return bare.inputs[0]._replace(script_sig=push(signature) + push(ALICE.public))

        def large(bare: Transaction, coin: Coin) -> Input:
            return bare.inputs[0]._replace(
                witness=(sig(bare, coin, ALICE.p2pkh, segwit=True, key=ALICE), ALICE.public)
            )

        def nothing(bare: Transaction, _coin: Coin) -> Input:
            return bare.inputs[0]

        def with_script_sig(script: bytes, *witness: bytes) -> Callable[[Transaction, Coin], Input]:
            return lambda bare, _coin: bare.inputs[0]._replace(script_sig=script, witness=witness)

        for label, build in (
            ("p2wsh", wsh),
            ("p2sh", sh),
            ("p2sh-p2wpkh", nested),
            ("p2pk", pk),
            ("multisig", multi),
            ("p2pkh", legacy),
        ):
            none = {
                "p2wsh": policy,
                "p2sh": "bad-txns-nonstandard-inputs",
                "p2sh-p2wpkh": "bad-txns-nonstandard-inputs",
            }
            mined = policy if label == "p2wsh" else bad
            yield f"{label}: spent with nothing", spend(label, nothing), none.get(label, bad), mined
            if label in ("p2sh", "p2pk", "multisig", "p2pkh"):
                padded = lambda bare, coin, build=build: (  # noqa: E731
                    (found := build(bare, coin))._replace(script_sig=b"\x51" + found.script_sig)
                )
                yield f"{label}: a push too many", spend(label, padded), policy, ""
                nop = lambda bare, coin, build=build: (  # noqa: E731
                    (found := build(bare, coin))._replace(script_sig=b"\x61" + found.script_sig)
                )
                mined = bad if label == "p2sh" else ""
                yield (
                    f"{label}: a script that does more than push",
                    spend(label, nop),
                    "scriptsig-not-pushonly",
                    mined,
                )
                seen = lambda bare, coin, build=build: build(bare, coin)._replace(witness=(b"x",))  # noqa: E731
                yield f"{label}: a witness too many", spend(label, seen), "bad-witness-nonstandard", policy
            if label == "multisig":
                yield f"{label}: a dummy that isn't empty", spend(label, dummy), policy
            yield f"{label}: spent well", spend(label, build), ""
        yield "P2WSH with another script", spend("anyone-p2wsh", with_script_sig(b"", b"\x52")), policy
        yield "P2WSH with a scriptSig", spend("anyone-p2wsh", with_script_sig(b"\x51", b"\x51")), policy
        yield "P2WSH that asks for nothing", spend("anyone-p2wsh", with_script_sig(b"", b"\x51")), ""
        for label, witness, waiting in (
            ("80 bytes", (bytes(80), b"\x75\x51"), ""),
            ("81 bytes", (bytes(81), b"\x75\x51"), "bad-witness-nonstandard"),
            ("100 items", (*[b""] * 100, b"\x75" * 100 + b"\x51"), ""),
            ("101 items", (*[b""] * 101, b"\x75" * 101 + b"\x51"), "bad-witness-nonstandard"),
            ("3600 bytes of script", (_dropping(451),), ""),
            ("3601 bytes of script", (_dropping(452),), "bad-witness-nonstandard"),
        ):
            owners[label] = p2wsh(sha256(witness[-1]))
            yield f"P2WSH with {label}", spend(label, with_script_sig(b"", *witness)), waiting, ""
        yield "OP_TRUE", spend("anyone", nothing), "bad-txns-nonstandard-inputs", ""
        yield (
            "a future version",
            spend("future", with_script_sig(b"", b"look", b"alike")),
            "bad-txns-nonstandard-inputs",
            "",
        )
        cltv = push((10**6).to_bytes(3, "little")) + b"\xb1\x75\x51"
        yield "a script's lock time", spend("cltv", with_script_sig(b"", cltv)), policy, ""
        yield (
            "a script's relative lock",
            spend("csv", with_script_sig(b"", b"\x02\xff\x00\xb2\x75\x51")),
            policy,
            "",
        )
        yield "a large value", spend("name-large", large, "bp/large"), bad
        yield "a name's P2PKH without the prefix", spend("name-p2pkh", without_prefix, "bp/legacy"), bad
        yield "a name's P2PKH", spend("name-p2pkh", legacy, "bp/legacy"), ""
        yield "a name's P2WSH", spend("name-p2wsh", wsh, "bp/wsh"), ""
        yield "a name's P2SH", spend("name-p2sh", sh, "bp/sh"), ""

    def _beside(
        self, coin: Coin, outputs: list[Output], build: Callable[[Transaction, Coin], Input]
    ) -> Transaction:
        """Spend a name's coin first and one of the miner's for the fee."""
        paying = self.world.coin()
        outputs = [*outputs, Output(paying.value - FEE, MINER.p2wpkh)]
        both = [(Input(c.txid, c.vout, b"", ()), FINAL) for c in (coin, paying)]
        bare = Transaction.build(NAME_TX_VERSION, 0, both, outputs)
        digest = bare.signature_hash(1, MINER.p2pkh, paying.value, 1)
        signed = bare.inputs[1]._replace(witness=(MINER.sign(digest), MINER.public))
        return Transaction.build(NAME_TX_VERSION, 0, [(build(bare, coin), FINAL), (signed, FINAL)], outputs)


class Spending:
    """A coin of Alice's, P2WPKH or P2PKH, to be spent with variations; a new one each time."""

    def __init__(self, coin: Callable[[], Coin], *, segwit: bool) -> None:
        self.coin, self.segwit = coin, segwit

    def _make(
        self,
        hash_type: int = 1,
        change: Callable[[bytes], bytes] = lambda signature: signature,
        key: Key = ALICE,
        value: int = DOI,
    ) -> Transaction:
        coin = self.coin()
        outputs = [Output(coin.value - FEE, BOB.p2wpkh)]
        empty = Input(coin.txid, coin.vout, b"", ())
        bare = Transaction.build(2, 0, [(empty, FINAL)], outputs)
        digest = bare.signature_hash(0, ALICE.p2pkh, value if self.segwit else None, hash_type)
        signature = change(key.sign(digest, hash_type))
        if self.segwit:
            spent = empty._replace(witness=(signature, key.public))
        else:
            spent = empty._replace(script_sig=push(signature) + push(key.public))
        return Transaction.build(2, 0, [(spent, FINAL)], outputs)

    def changed(self, change: Callable[[bytes], bytes]) -> Callable[[], Transaction]:
        return lambda: self._make(change=change)

    def by(self, key: Key) -> Callable[[], Transaction]:
        return lambda: self._make(key=key)

    def worth(self, value: int) -> Callable[[], Transaction]:
        return lambda: self._make(value=value)

    def typed(self, hash_type: int) -> Callable[[], Transaction]:
        return lambda: self._make(hash_type)


def _dropping(size: int) -> bytes:
    """A script that pushes and drops: 3149 bytes and `size`."""
    return (push(bytes(520)) + b"\x75") * 6 + push(bytes(size)) + b"\x75\x51"


def high_s(signature: bytes) -> bytes:
    """The other signature that is as good."""
    r_size = signature[3]
    r, s = signature[4 : 4 + r_size], int.from_bytes(signature[6 + r_size : -1], "big")
    body = b"\x02" + bytes([r_size]) + r + b"\x02\x21" + (_ORDER - s).to_bytes(33, "big")
    return b"\x30" + bytes([len(body)]) + body + signature[-1:]


def new(hash_: bytes) -> Output:
    return Output(NAME_AMOUNT, bytes([OP_NAME_NEW]) + push(hash_) + b"\x6d" + ALICE.p2wpkh)


def first(name: bytes, rand: bytes) -> Output:
    pushes = push(name) + push(rand) + push(b"value")
    return Output(NAME_AMOUNT, bytes([OP_NAME_FIRSTUPDATE]) + pushes + b"\x6d\x6d" + ALICE.p2wpkh)


def update(name: bytes) -> Output:
    return Output(
        NAME_AMOUNT, bytes([OP_NAME_UPDATE]) + push(name) + push(b"new") + b"\x6d\x75" + ALICE.p2wpkh
    )
