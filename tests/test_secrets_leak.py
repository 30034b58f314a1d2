"""A whole story with known secrets: none of them is ever on the disk or on the screen, in any form."""

import base64
import io
import json
import traceback
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from unittest.mock import patch

import pytest
from btclib import base58
from cli import Ran, environment, files_below
from devnet_world import ROOT
from story import METER, ORG, PASSPHRASE, Story, board_of, entropy_of, key_of, keys, pairing_of, phrase_of
from terminal import Terminal

from doitrust.adapters import keystore as keystore_module
from doitrust.adapters import phrases
from doitrust.adapters.devnet import Devnet
from doitrust.adapters.secret import Secret
from doitrust.chain.accounts import Account, account_path, key_path

PEOPLE = ("admin", "max", "client", "one", "two")
NEW_PASSPHRASE = "another-one-that-nobody-guesses"
#: Version bytes of private keys in WIF and in BIP 32 (doichain.md «Networks»).
WIF_VERSIONS = (180, 239)
PRIVATE_VERSIONS = ("0488ade4", "04358394")


def forms(secret: bytes) -> Iterator[bytes]:
    """How bytes may be written down."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    yield secret[::-1]
    yield base64.b64encode(secret).rstrip(b"=")
    yield base64.urlsafe_b64encode(secret).rstrip(b"=")
    yield repr(secret).encode()
    yield str(list(secret)).encode()
    yield str(int.from_bytes(secret, "big")).encode()


def secrets_of(who: str) -> dict[str, set[bytes]]:
    """Everything that must not be found, by what it is."""
    words = phrase_of(who).split()
    entropy = entropy_of(who)
    seed = phrases.seed_of(Secret(entropy))
    found: dict[str, set[bytes]] = {
        "words": {" ".join(words[at : at + 3]).encode() for at in range(len(words) - 2)},
        "words in a list": {json.dumps(words[at : at + 2])[1:-1].encode() for at in range(len(words) - 1)},
        "entropy": set(forms(entropy)),
        "seed": set(forms(bytes(seed.data))) | set(forms(bytes(seed.data[:32]))),
    }
    for coin_type in (0, 1, 7):
        for account in Account:
            path = key_path(coin_type, account)
            found[f"the key {account.label} {coin_type}"] = set(
                key_forms(bytes(phrases.private_key(seed, path).data))
            )
            inside = account_path(coin_type, account)
            private = bytes(phrases.private_key(seed, inside).data)
            found[f"the account {account.label} {coin_type}"] = set(key_forms(private))
    found["the master key"] = set(key_forms(bytes(phrases.private_key(seed, ()).data)))
    return found


def key_forms(secret: bytes) -> Iterator[bytes]:
    yield from forms(secret)
    for version in WIF_VERSIONS:
        for suffix in (b"\1", b""):
            yield base58.encode(bytes([version]) + secret + suffix)


PASSPHRASES: dict[str, set[bytes]] = {
    text: {form for form in forms(text.encode()) if len(form) > 10} for text in (PASSPHRASE, NEW_PASSPHRASE)
}


class Watched(Story):
    """A story that keeps all that was ever shown."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.shown: list[tuple[str, bytes]] = []

    def run(self, who: str, *arguments: object, **more: object) -> Ran:
        ran = super().run(who, *arguments, **more)  # type: ignore[arg-type]
        self.note(" ".join(map(str, arguments[:3])), ran.out + ran.err)
        return ran

    def note(self, what: str, text: str) -> None:
        self.shown.append((what, text.encode()))


def import_key(story: Watched, who: str) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(phrase_of(who).encode()), encoding="utf-8")
    with patch("cli.io.StringIO", lambda *_: stdin):
        assert story.run(who, "key", "import", who).status == 0


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """Everybody does everything, some of it wrongly; told loudly."""
    story = Watched(tmp_path_factory.mktemp("leak"))
    for who in PEOPLE:
        import_key(story, who)
    play(story)
    mistakes(story)
    story.note("a terminal", at_a_terminal(story))
    return story


def play(story: Watched) -> None:
    for who, account in (("admin", "owner"), ("max", "member")):
        story.fund(keys(who)[account]["address"])
    root = story.do("admin", "org", "create", ORG, "--member", key_of("max"), "-vv")["root"]
    story.mine(5)
    for who in ("max", "admin", "one"):
        story.do(who, "org", "accept", ORG, "--root", root)
    story.do("max", "pi", "init")
    photo = story.folder / "photo.png"
    from PIL import Image  # noqa: PLC0415

    Image.new("RGB", (8, 8)).save(photo)
    certify = ("meter", "certify", story.pairing(), "--org", ORG, "--seal", "A-1")
    story.do("max", *certify, "--fund", "0.1", "--photo", photo, "--dry-run", "-vv")
    story.do("max", *certify, "--fund", "0.1", "--photo", photo, "-vv")
    story.do("max", "meter", "renew", METER, "-vv")
    revoked = story.do("admin", "meter", "revoke", METER, "--org", ORG, "--reason", "seal broken", "-v")
    assert story.run("max", *certify, "--after", revoked["txid"], "-vv").status == 0
    story.mine(5)
    receiver = keys("max")["client"]["address"]
    story.do("client", "seal", "spend", pairing_of().ms, "--to", receiver, "--amount", "0.01", "-vv")

    descriptor = board_of("p2wsh", "one", "two", m=2)
    files: list[Path] = []
    for who in ("one", "two"):
        files.append(story.folder / f"{who}.json")
        story.do(who, "org", "accept-ownership", ORG, "--out", files[-1], "--owner", descriptor, "-vv")
    where = json.loads(files[-1].read_text())["text"].split("\n")[3]
    flags = [part for file in files for part in ("--acceptance", file)]
    story.do("admin", "org", "transfer", ORG, where, *flags, "-vv")
    story.fund(where)
    psbt = story.folder / "board.psbt"
    story.do("one", "org", "add-member", ORG, key_of("admin"), "--signer", f"psbt:{psbt}")
    for who in ("one", "two"):
        story.do(who, "tx", "sign", psbt, "-vv")
    story.do("two", "tx", "send", psbt, "-vv")
    for who in PEOPLE:
        for command in (("key", "list"), ("key", "show", who), ("tx", "list"), ("tx", "resume")):
            story.run(who, *command, "-vv")
            story.run(who, *command, "--json")
    story.run("max", "verify", METER, "-vv", "--save-evidence", story.folder / "evidence.json")
    changed = story.run("max", "key", "passphrase", "max", env={"DOITRUST_NEW_PASSPHRASE": NEW_PASSPHRASE})
    assert changed.status == 0, changed
    back = {"DOITRUST_PASSPHRASE": NEW_PASSPHRASE, "DOITRUST_NEW_PASSPHRASE": PASSPHRASE}
    assert story.run("max", "key", "passphrase", "max", env=back).status == 0


def mistakes(story: Watched) -> None:
    """What goes wrong while secrets are in memory."""
    wrong = story.run("max", "meter", "renew", METER, "-vv", env={"DOITRUST_PASSPHRASE": PASSPHRASE + "!"})
    assert wrong.status == 1
    short = {"DOITRUST_PASSPHRASE": PASSPHRASE + "\n"}
    assert story.run("max", "meter", "renew", METER, "-vv", env=short).status == 2
    assert story.run("max", "--passphrase", PASSPHRASE[:6], "verify").status == 2
    with patch.object(keystore_module, "sign_digest", side_effect=RuntimeError("the signing broke")):
        story.note("broken signing", failing(story, "max", "meter", "renew", METER, "-vv"))
    with patch.object(keystore_module, "verify_signature", return_value=False):
        assert story.run("max", "meter", "renew", METER, "-vv").status == 1
    with patch.object(Devnet, "broadcast", side_effect=RuntimeError("the chain broke")):
        story.note("broken chain", failing(story, "max", "meter", "renew", METER, "-vv"))
    assert story.run("max", "tx", "resume", "-vv").status == 0
    spoiled = story.folder / "spoiled" / "keys"
    spoiled.mkdir(parents=True)
    data = (story.home("max") / "keys" / "max.json").read_bytes()
    for at in (20, len(data) // 2, len(data) - 20):
        (spoiled / "max.json").write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        story.run("spoiled", "meter", "renew", METER, "-vv")
        story.run("spoiled", "key", "show", "max", "-vv")


def failing(story: Watched, who: str, *arguments: object) -> str:
    """Run what ends in a bug, and return its traceback."""
    try:
        ran = story.run(who, *arguments)
    except RuntimeError:
        return traceback.format_exc()
    raise AssertionError(ran)


def at_a_terminal(story: Watched) -> str:
    """The passphrase typed: nothing of it is echoed."""
    env = environment({**story.environment("max"), "DOITRUST_PASSPHRASE": None})
    code = ("-c", f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]\n" + _TERMINAL)
    with Terminal("meter", "renew", METER, "-vv", env=env, code=code) as terminal:
        terminal.expect("Passphrase of max")
        terminal.enter(PASSPHRASE)
        assert terminal.leave() == 0
    return terminal.shown


_TERMINAL = (
    "from story import quick_keys\nfrom doitrust.cli.main import main\nwith quick_keys():\n    main()\n"
)


def everything(story: Watched) -> Iterator[tuple[str, bytes]]:
    yield from files_below(story.folder).items()
    yield from story.shown


def test_there_is_something_to_search(story: Watched) -> None:
    """The search itself finds what is there: names, public keys, the journal, what was printed."""
    found = dict(everything(story))
    assert {
        "max/wallet.db",
        "max/keys/max.json",
        "world/chain.sqlite",
        "evidence.json",
        "board.psbt",
    } <= found.keys()
    assert len(story.shown) > 50
    public = bytes.fromhex(key_of("max"))
    assert any(public in data for data in found.values())
    assert any(key_of("max").encode() in data for _, data in story.shown)
    assert len(story.meter_writes()) >= 4


@pytest.mark.parametrize("who", PEOPLE)
def test_no_secret_is_found_anywhere(story: Watched, who: str) -> None:
    hidden = secrets_of(who)
    for where, data in everything(story):
        for what, needles in hidden.items():
            for needle in needles:
                assert needle not in data, f"{what} of {who} is in {where}"


@pytest.mark.parametrize("text", PASSPHRASES)
def test_no_passphrase_is_found_anywhere(story: Watched, text: str) -> None:
    for where, data in everything(story):
        for needle in PASSPHRASES[text]:
            assert needle not in data, f"a passphrase is in {where}"


def test_no_extended_private_key_is_found_anywhere(story: Watched) -> None:
    """Whatever derives it: its text begins alike, and so do its bytes."""
    starts = {b"xprv", b"tprv", b"zprv", b"vprv"}
    for where, data in everything(story):
        assert not any(start in data for start in starts), where
        for version in PRIVATE_VERSIONS:
            assert bytes.fromhex(version) + b"\x03" not in data, where


def test_the_forms_are_those_that_tools_write() -> None:
    """What is searched for is what a leak would look like."""
    secret = sha256(b"x").digest()
    found = set(key_forms(secret))
    assert secret.hex().encode() in found
    wif = base58.encode(b"\xef" + secret + b"\1")
    assert wif in found
    assert len(wif) == 52
    hidden = secrets_of("max")
    seed = phrases.seed_of(Secret(entropy_of("max")))
    private = bytes(phrases.private_key(seed, key_path(1, Account.MEMBER)).data)
    assert private in hidden["the key member 1"]
    from coincurve import PrivateKey  # noqa: PLC0415

    assert PrivateKey(private).public_key.format().hex() == key_of("max")
