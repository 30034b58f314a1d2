"""What both nodes are asked: everything that a devnet serves, rightly and wrongly."""

from collections.abc import Iterator, Sequence
from typing import Any

from devnet_world import ALICE, BOB

from doitrust.adapters.devnet.rpc.dispatch import COMMANDS
from doitrust.chain.address import address_of
from doitrust.chain.block import Block
from doitrust.chain.names import name_script, read_as_node
from doitrust.chain.networks import DEVNET
from doitrust.chain.psbt import Psbt
from doitrust.chain.scripts import multisig_script, p2sh, p2wsh
from doitrust.chain.tx import Input, Output, Transaction

Question = tuple[Any, ...]

NOWHERE = "00" * 31 + "01"
ENCODINGS = ("ascii", "utf8", "hex")
#: As a method's first parameter where it wants a text.
NO_TEXTS: tuple[Any, ...] = (5, None, True, [], {}, 1.5)


def about_blocks(blocks: Sequence[Block]) -> Iterator[Question]:
    """Every block, in every form."""
    for height, block in enumerate(blocks):
        block_hash = block.header.hash
        yield "getblockhash", height
        for form in (0, 1, 2):
            yield "getblock", block_hash, form
        for verbose in (True, False):
            yield "getblockheader", block_hash, verbose


def about_transactions(blocks: Sequence[Block]) -> Iterator[Question]:
    """Every transaction and every output."""
    for block in blocks[1:]:
        for tx in block.transactions:
            yield "getrawtransaction", tx.txid
            yield "getrawtransaction", tx.txid, True
            yield "getrawtransaction", tx.txid, True, block.header.hash
            yield "gettxoutproof", [tx.txid], block.header.hash
            for vout in range(len(tx.outputs) + 1):
                yield "gettxout", tx.txid, vout
        for tx in block.transactions[1:]:
            raw = tx.raw.hex()
            yield from (("decoderawtransaction", raw, *more) for more in ((), (True,), (False,)))
            yield "testmempoolaccept", [raw]
            yield "sendrawtransaction", raw
            yield "gettxoutproof", [tx.txid]
        txids = [tx.txid for tx in block.transactions]
        if len(txids) > 1:
            yield "gettxoutproof", txids
            yield "gettxoutproof", txids[::2], block.header.hash
            yield "gettxoutproof", [*txids, NOWHERE], block.header.hash
    yield "getrawtransaction", blocks[0].transactions[0].txid
    yield "getrawtransaction", blocks[0].transactions[0].txid, True, blocks[0].header.hash
    yield "getrawtransaction", blocks[2].transactions[0].txid, True, blocks[1].header.hash
    yield "gettxout", blocks[0].transactions[0].txid, 0


def names_of(blocks: Sequence[Block]) -> list[bytes]:
    """Every name that was ever written."""
    outputs = [output for block in blocks for tx in block.transactions for output in tx.outputs]
    found = [name.written[0] for o in outputs if (name := read_as_node(o.script)) and name.written]
    return sorted(dict.fromkeys(found), key=lambda name: (len(name), name))


def about_names(blocks: Sequence[Block]) -> Iterator[Question]:
    """Every name, in every encoding, and scans of all of them."""
    names = names_of(blocks)
    for name in names:
        for how in ENCODINGS:
            text = name.hex() if how == "hex" else name.decode("utf-8", "replace")
            for value in ENCODINGS:
                options = {"nameEncoding": how, "valueEncoding": value}
                yield "name_history", text, options
                for expired in (True, False):
                    yield "name_show", text, {**options, "allowExpired": expired}
        yield "name_show", name.decode("utf-8", "replace")
    yield ("name_scan",)
    yield ("name_pending",)
    middle = names[len(names) // 2].hex()
    for how in ENCODINGS:
        for value in ENCODINGS:
            yield "name_scan", "", 1000, {"nameEncoding": how, "valueEncoding": value}
    hexed = {"nameEncoding": "hex", "valueEncoding": "hex"}
    filters: tuple[dict[str, Any], ...] = (
        *({"prefix": prefix.hex()} for prefix in (b"", b"b", b"bp/", b"bp_organization/", b"zz")),
        *({"minConf": least} for least in (1, 2, 10, 30, 31, 500)),
        *({"maxConf": most} for most in (0, 1, 10, 30, 31, 500, 2**31 - 1)),
        {"minConf": 5, "maxConf": 40},
        *(
            {"regexp": text}
            for text in ("", "^bp", "[0-9]+$", "00[12]", "(a|b).*x", "ü", "^$", "\\d{3}", "(?i)BP")
        ),
        {"prefix": b"bp".hex(), "regexp": "1", "minConf": 2},
    )
    for more in filters:
        yield "name_scan", "", 500, {**hexed, **more}
    for count in (1, 2, 3, 0, -1):
        yield "name_scan", middle, count, hexed
    yield "name_scan", "ff", 5, hexed


def about_coins(blocks: Sequence[Block]) -> Iterator[Question]:
    """Every script that was ever paid."""
    outputs = [output for block in blocks for tx in block.transactions for output in tx.outputs]
    scripts = list(dict.fromkeys(output.script for output in outputs))
    owners = [address for script in scripts if (address := address_of(script, DEVNET))]
    yield "scantxoutset", "start", [f"addr({owner})" for owner in owners]
    yield "scantxoutset", "start", [f"raw({script.hex()})" for script in scripts if script]
    yield "scantxoutset", "start", [{"desc": f"addr({owner})"} for owner in owners[:2]]
    yield "scantxoutset", "start", [f"addr({owners[0]})"] * 2


def about_the_state() -> Iterator[Question]:
    """What needs no parameter, or few."""
    for method in (
        *("getblockcount", "getbestblockhash", "getdifficulty", "getblockchaininfo", "getmempoolinfo"),
        *("getrawmempool", "getindexinfo", "getnetworkinfo"),
    ):
        yield (method,)
        yield method, "one", "too", "many"
    yield from (("getindexinfo", name) for name in ("", "txindex", "other", None, 5))
    yield from (("getrawmempool", value) for value in (True, False, None, 1, "true"))
    yield from (("estimatesmartfee", target) for target in (1, 6, 1008, 1009, 0, -1, "6", 1.5, None))
    modes = ("UNSET", "economical", "Conservative", "x", "", "sat/b", "NMC/KB", "BTC/KB", "DOI/KB", 5, None)
    yield from (("estimatesmartfee", 6, mode) for mode in modes)


def wrongly_asked(blocks: Sequence[Block]) -> Iterator[Question]:
    """Every method with parameters that it doesn't take."""
    good, txid = blocks[-1].header.hash, blocks[-1].transactions[0].txid
    raw = blocks[-1].transactions[0].raw.hex()
    no_hashes = (*NO_TEXTS, "", "00", "x" * 64, NOWHERE, good.upper())
    for method in ("getblock", "getblockheader", "getrawtransaction", "getmempoolentry"):
        yield (method,)
        yield from ((method, value) for value in no_hashes)
    no_numbers: tuple[Any, ...] = (None, 3, -1, 1.5, "1", [], 2**31, True, False)
    for value in no_numbers:
        yield "getblock", good, value
        yield "getblockheader", good, value
        yield "getrawtransaction", txid, value
        yield "gettxout", txid, value
        yield "gettxout", txid, 0, value
        yield "getblockhash", value
        yield "getrawtransaction", txid, False, value
    for value in no_hashes:
        yield "getrawtransaction", txid, True, value
        yield "gettxout", value, 0
        yield "gettxoutproof", [value]
        yield "gettxoutproof", [txid], value
        yield "gettxoutproof", value
    yield "gettxout", txid, -1
    yield "gettxout", txid
    yield "gettxoutproof", [txid, txid]
    yield "gettxoutproof", [txid, txid.upper()]
    yield "gettxoutproof", []
    yield "gettxoutproof", [txid, NOWHERE]
    yield "gettxoutproof", [txid], blocks[1].header.hash
    no_transactions = (*NO_TEXTS, "", "0", "zz", "00", raw + "00", raw[:-2], "ff" * 100, " " + raw)
    for value in no_transactions:
        yield "decoderawtransaction", value
        yield "sendrawtransaction", value
        yield "testmempoolaccept", [value]
        yield "testmempoolaccept", value
    yield "testmempoolaccept", []
    yield "testmempoolaccept", [raw, raw]
    yield "decoderawtransaction", raw, 1
    yield "decoderawtransaction", raw, None
    yield "sendrawtransaction", raw
    yield "testmempoolaccept", [raw]
    rates: tuple[Any, ...] = (
        *(0, "0", "0.1", 0.1, 1, "1e-3", 1e-5, -1, "-0", "x", "", None, True, [], "21000001"),
        *("0.000000001", "1.", ".1", "01", "1e400", "0.10000000000"),
    )
    for rate in rates:
        yield "sendrawtransaction", raw, rate
        yield "testmempoolaccept", [raw], rate
    for value in (*NO_TEXTS, "", "00", "x" * 64, NOWHERE):
        yield "invalidateblock", value
        yield "reconsiderblock", value
    address = address_of(ALICE.p2wpkh, DEVNET) or ""
    counts: tuple[Any, ...] = (None, "1", [], 2**31, 0, -1, True, 1.5)
    yield from (("generatetoaddress", value, address) for value in counts)
    yield from (("generatetoaddress", 0, value) for value in (*NO_TEXTS, "", "x", address.upper()))
    tries: tuple[Any, ...] = (0, "1", [], 2**31, True)
    yield from (("generatetoaddress", 1, address, value) for value in tries)
    yield from (("generatetoaddress", *given) for given in ((), (1,), (0, address, None), (0, address, 1, 1)))
    yield ("nosuchmethod",)


def helps() -> Iterator[Question]:
    """How every method is called; of what a core says only the first line, and nothing of a wallet's method."""
    yield from (("help", method) for method in COMMANDS if method != "listwallets")
    yield from (("help", word) for word in ("nosuchmethod", 1, None, True))
    yield "help", "one", "too many"


def bodies(block_hash: str) -> Iterator[str]:
    """Requests as they are posted, right and wrong."""
    yield from (
        "",
        "{}",
        "[]",
        "x",
        "5",
        '"a"',
        "null",
        "[[]]",
        "[null]",
        '{"id":1,"params":[]}',
        '{"method":null}',
    )
    yield '{"method":"getblockcount"}'
    yield '{"method":"getblockcount"} '
    yield '{"method":"getblockcount"}x'
    yield '{"method":5}'
    yield '{"method":"getblockcount","params":5}'
    yield '{"method":"getblockcount","params":null,"id":"x"}'
    yield '{"method":"getblockcount","params":[],"id":null}'
    yield '{"method":"getblockcount","params":[],"id":{"a":[1,2.50,"ü\\u00e9"]}}'
    yield '{"jsonrpc":"2.0","method":"getblockcount","id":7}'
    yield '{"method":"getblockcount","method":"nope"}'
    yield '[{"method":"getblockcount","id":1},{"method":"nope","id":2},5,{}]'
    yield '[{"method":"getblockcount","id":1}'
    for value in ("3", "1e1", "10.0", "-0", "01", "+1", "99999999999999999999", "0x1", "true", '"3"'):
        yield f'{{"method":"getblockhash","params":[{value}]}}'
    for named in ('"height":3', '"hight":3', '"height":3,"more":1'):
        yield f'{{"method":"getblockhash","params":{{{named}}}}}'
    for named in ('"verbose":2,', '"verbosity":0,', '"verbosity":0,"verbose":2,', '"x":1,', ""):
        yield f'{{"method":"getblock","params":{{{named}"blockhash":"{block_hash}"}}}}'
    for text in (r"\ud800", r"a\u0000b", r"\ud83d\ude00", r"\x", "\t", "ü"):
        yield f'{{"method":"name_show","params":["{text}",{{"nameEncoding":"utf8"}}]}}'


def wrong_names() -> Iterator[Question]:
    """Name methods with parameters that they don't take."""
    words = ("x", "ü", "", " ", "\n", "\x7f", "n" * 300)
    options: tuple[Any, ...] = (
        *(
            None,
            [],
            5,
            "x",
            {},
            {"unknown": 1},
            {"nameEncoding": 1},
            {"nameEncoding": "latin1"},
            {"nameEncoding": ""},
        ),
        *({"nameEncoding": "utf8"}, {"nameEncoding": "hex"}, {"nameEncoding": None}, {"valueEncoding": 1}),
        *({"byHash": how} for how in ("direct", "sha256d", "x", 1, None)),
        *({"allowExpired": value} for value in (True, "yes", 1, None)),
    )
    for method in ("name_show", "name_history"):
        yield (method,)
        yield from ((method, value) for value in NO_TEXTS)
        yield from ((method, word) for word in words)
        yield from ((method, "x", value) for value in options)
        yield from (
            (method, text, {"nameEncoding": "hex"}) for text in ("0", "xy", " 00", "", "AB", "ab", "0x00")
        )
        yield method, "x", {}, "more"
    yield from (("name_scan", value) for value in (*NO_TEXTS, *words))
    counts: tuple[Any, ...] = (None, "1", 1.5, 2**31, -(2**31) - 1, [], True, 2)
    yield from (("name_scan", "", value) for value in counts)
    yield from (("name_scan", "", 10, value) for value in options)
    for key, values in {
        "minConf": (0, -1, "1", None, 1.5, 2**31, True),
        "maxConf": (-1, "1", None, 1.5, 2**31),
        "prefix": (5, None, "ü", "x"),
        "regexp": (5, None, "(", "[", "*", "a{2,1}", "\\"),
    }.items():
        yield from (("name_scan", "", 10, {key: value}) for value in values)
    yield from (("name_pending", value) for value in (*NO_TEXTS, "x", "ü"))
    yield from (("name_pending", "x", value) for value in options)
    yield from (("name_pending", None, value) for value in options)


def scans() -> Iterator[Question]:
    """Descriptors: addresses, raw scripts, and what is none. Other functions only the core knows."""
    redeem = multisig_script(1, [ALICE.public, BOB.public])
    alice, wsh, sh = (
        address_of(script, DEVNET) for script in (ALICE.p2wpkh, p2wsh(bytes(32)), p2sh(bytes(20)))
    )
    for text in (
        *(f"addr({alice})", f"addr({wsh})", f"addr({sh})", f"raw({redeem.hex()})", "raw(51)"),
        *(
            "addr()",
            "addr(x)",
            "addr(dc1qqqqq)",
            "raw()",
            "raw(5)",
            "raw(xx)",
            "raw(51)#",
            "raw(51)#a#b",
            "raw(51)#qqqqqqqq",
        ),
        *(
            "raw(51)\u00e4",
            "rew(51)",
            "",
            "raw",
            "raw(51",
            "raw(51))",
            "()",
            "(",
            ")",
            " raw(51)",
            "raw(51) ",
        ),
        *(
            "addr(addr(x))",
            "raw{51}",
            "raw(raw(51))",
            "raw(51),raw(52)",
            "raw((51))",
            ",",
            "rew(51)),",
            "addr(x))",
        ),
    ):
        yield "scantxoutset", "start", [text]
    given: tuple[tuple[Any, ...], ...] = (
        *((), ("start",), ("halt", []), ("start", "x"), ("start", [1]), ("start", [{}]), ("start", [None])),
        *(
            ("start", []),
            ("status",),
            ("abort",),
            ("status", []),
            (5,),
            (None,),
            ("start", None),
            ("start", [[]]),
        ),
        *(("start", [{"desc": 5}]), ("start", [{"desc": f"addr({alice})", "range": 5}]), ("start", ["x"], 1)),
    )
    for params in given:
        yield "scantxoutset", *params


def raw_names() -> Iterator[Question]:
    """Name operations put into transactions, of version 1 all: with any other the core stops by an assertion."""
    inputs = [(Input("11" * 32, 0, b"", ()), 0xFFFFFFFF)]
    outputs = [Output(10**6, ALICE.p2wpkh), Output(10**8, BOB.p2pkh)]
    tx = Transaction.build(1, 0, inputs, outputs)
    named = Transaction.build(1, 0, inputs, [Output(10**6, name_script(b"n", b"v", ALICE.p2wpkh))])
    witness = Transaction.build(1, 0, [(inputs[0][0]._replace(witness=(b"a", b"b")), 0)], outputs)
    no_inputs = "01000000" + "00" + "01" + "40420f0000000000" + "01" + "51" + "00000000"
    rand = "ab" * 20
    operations: tuple[dict[str, Any], ...] = (
        {"op": "name_doi", "name": "n", "value": "v"},
        {"op": "name_doi", "name": "", "value": ""},
        {"op": "name_doi", "name": "n" * 255, "value": "v" * 520},
        {"op": "name_doi", "name": "n" * 256, "value": "v" * 1024},
        {"op": "name_doi", "name": "n" * 76, "value": "v" * 65535},
        {"op": "name_update", "name": "n", "value": "v" * 75},
        {"op": "name_new", "name": "n", "rand": rand},
        {"op": "name_new", "name": "n", "rand": ""},
        {"op": "name_new", "name": "n", "rand": "xx"},
        {"op": "name_new", "name": "n", "rand": 1},
        {"op": "name_new"},
        {"op": "name_new", "rand": rand},
        {"op": "name_new", "name": 5, "rand": rand},
        {"op": "name_firstupdate", "name": "n", "value": "v", "rand": rand},
        {"op": "name_firstupdate", "name": "n", "value": "v", "rand": "0"},
        {"op": "name_firstupdate", "name": "n", "value": "v"},
        {"op": "name_firstupdate", "value": "v", "rand": rand},
        {"op": "name_doi", "name": "n"},
        {"op": "name_doi", "value": "v"},
        {"op": "name_doi", "name": 1, "value": "v"},
        {"op": "name_doi", "name": "n", "value": None},
        {"op": "name_doi", "name": "ü", "value": "v"},
        {"op": "name_doi", "name": "n", "value": "v", "nameEncoding": "hex", "more": 1},
        {"op": "steal"},
        {"op": 5},
        {"op": None},
        {},
    )
    raws = [tx.raw.hex(), named.raw.hex(), witness.raw.hex()]
    for raw in raws:
        yield from (("namerawtransaction", raw, 0, operation) for operation in operations)
    yield "namerawtransaction", no_inputs, 0, operations[0]
    psbt = Psbt.unsigned(tx).text
    yield from (("namepsbt", psbt, 0, operation) for operation in operations)
    yield "namepsbt", Psbt.unsigned(named).text, 0, operations[0]
    vouts: tuple[Any, ...] = (1, 2, -1, None, "0", 1.5, 2**31)
    no_operations: tuple[Any, ...] = (None, [], "x", 5)
    for method, given in (("namerawtransaction", tx.raw.hex()), ("namepsbt", psbt)):
        yield from ((method, given, vout, operations[0]) for vout in vouts)
        yield from ((method, given, 0, value) for value in no_operations)
        yield from ((method, value, 0, operations[0]) for value in NO_TEXTS)
        yield from (
            (method, value, 0, operations[0]) for value in ("", "0", "zz", "00", "ff" * 100, "cHNidP8=")
        )
        yield method, given, 0
        yield method, given, 0, operations[0], 1
