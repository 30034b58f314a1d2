"""Gateways that lie, stall and flood: alone they give nothing and cost a moment, beside an honest one not even that."""

import datetime
import ipaddress
import random
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import gateway_zoo as zoo
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from made import said
from support import attempt, damaged, refusal
from world import World

from doitrust.adapters.gateway_http import Patience
from doitrust.adapters.gateway_urls import MAX_GATEWAYS, gateway_urls, is_public, redirected, target_of
from doitrust.adapters.gateways import Gateways
from doitrust.content.car import write_car
from doitrust.content.cid import DAG_PB, RAW, Cid, cid_of
from doitrust.content.unixfs import MAX_BLOCK_SIZE, MissingBlock, read_file
from doitrust.errors import Usage
from doitrust.orgs.members import MAX_LIST_BYTES

MIB = 1024 * 1024
DATA = random.Random(3).randbytes(600_000)
BLOCKS = zoo.blocks_of(DATA)
ROOT = next(cid for cid in BLOCKS if cid.codec == DAG_PB)
LEAF = next(cid for cid in BLOCKS if cid.codec == RAW)
#: For what never comes. Nothing that is to come is held to it.
SHORT = Patience(whole=4.0, answer=0.4, grace=0.4, stagger=0.05, pause=0.02, wait=0.3, rate=MIB)
#: For what comes: long enough on any machine.
LONG = Patience(stagger=0.05)


def ask(*gateways: zoo.Gateway | str, patience: Patience = LONG) -> Gateways:
    return Gateways([each if isinstance(each, str) else each.url for each in gateways], patience=patience)


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}"


# ---- one animal at a time


@pytest.mark.parametrize("cid", [ROOT, LEAF], ids=["file", "block"])
@pytest.mark.parametrize("kind", zoo.kinds(), ids=lambda kind: kind.__name__)
def test_alone(kind: type[zoo.Gateway], cid: Cid) -> None:
    """It gives the right bytes or none, in time and in little room, and nothing is raised."""
    with kind(BLOCKS) as animal:
        # What lies gives itself away; only what keeps us waiting needs an end to that.
        gateways = ask(animal, patience=LONG if kind.delivers or kind.dropped else SHORT)
        tracemalloc.start()
        try:
            started = time.monotonic()
            found = attempt(read_file, cid, gateways.get, MAX_LIST_BYTES, kind=MissingBlock)
            took = time.monotonic() - started
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert found == ((DATA if cid == ROOT else BLOCKS[LEAF]) if kind.delivers else None)
        assert took < 10
        assert peak < 24 * MIB
        if kind.delivers:
            assert gateways.faults == ()
        elif kind.dropped and not (issubclass(kind, zoo.LiarInCars) and cid == LEAF):
            (fault,) = gateways.faults
            assert (fault.gateway, fault.dropped) == (animal.url, True)
            before = len(animal.headers)
            assert ask_again(gateways) is None
            assert len(animal.headers) == before
        else:
            assert not any(fault.dropped for fault in gateways.faults)
        if gateways.faults:
            assert kind.fault in " ".join(fault.what for fault in gateways.faults)
        for fault in gateways.faults:
            assert fault.what.isprintable()
            assert len(fault.what) < 400


def ask_again(gateways: Gateways) -> bytes | None:
    """Ask for what was not asked for before."""
    return gateways.get(next(cid for cid in reversed(BLOCKS) if cid != LEAF and cid.codec == RAW))


@pytest.mark.parametrize("kind", zoo.kinds(zoo.Useless), ids=lambda kind: kind.__name__)
def test_beside_an_honest_one(kind: type[zoo.Gateway]) -> None:
    with kind(BLOCKS) as animal, zoo.Gateway(BLOCKS) as honest:
        gateways = ask(animal, honest)
        started = time.monotonic()
        assert read_file(ROOT, gateways.get, MAX_LIST_BYTES) == DATA
        assert time.monotonic() - started < 10
        assert honest.asked == [("car", ROOT.text)]


HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: {zoo.RAW_KIND}\r\n".encode()
ANSWERS = (
    HEAD + b"Content-Length: 5\r\n\r\nsmall",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nsm\r\n3;x=y\r\nall\r\n0\r\nA: b\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"\r\nsmall",
    b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/x\r\nRetry-After: 3\r\n\r\n",
)


@pytest.mark.parametrize("answer", ANSWERS)
def test_damaged_answers(answer: bytes) -> None:
    """Whatever comes, it is the right bytes or none."""
    small = zoo.blocks_of(b"small")

    class Says(zoo.Gateway):
        data = b""

        def answer(self, line: socket.socket, path: str) -> None:
            line.sendall(self.data)

    net = Net({}, {})
    with Says(small) as gateway:

        @given(damaged(answer) | st.binary(max_size=100).map(lambda data: answer[:17] + data))
        def test(data: bytes) -> None:
            gateway.data = data
            gateways = Gateways(
                [gateway.url], resolve=net.resolve, dial=net.dial, patience=Patience(pause=0.001, wait=0.1)
            )
            assert gateways.get(next(iter(small))) in (b"small", None)
            assert all(fault.what.isprintable() for fault in gateways.faults)

        gateway.data = answer
        assert ask(gateway).get(next(iter(small))) == (None if b"302" in answer else b"small")
        test()


# ---- how files are fetched


def test_what_an_honest_one_is_asked() -> None:
    """A file is one request, and so is a block; nothing is asked twice."""
    other = zoo.blocks_of(b"small")
    with zoo.Gateway({**BLOCKS, **other}) as honest:
        gateways = ask(honest)
        for _ in range(2):
            assert read_file(ROOT, gateways.get, MAX_LIST_BYTES) == DATA
            assert gateways.get(next(iter(other))) == b"small"
        assert honest.asked == [("car", ROOT.text), ("raw", next(iter(other)).text)]
        car, raw = honest.headers
    assert raw == {
        "host": f"127.0.0.1:{honest.port}",
        "user-agent": "doitrust",
        "accept": zoo.RAW_KIND,
        "accept-encoding": "identity",
        "connection": "close",
    }
    assert car["accept"] == zoo.CAR_KIND


def test_a_path_in_front() -> None:
    with zoo.Gateway(BLOCKS) as honest:
        assert ask(f"{honest.url}/some/where/").get(ROOT) == BLOCKS[ROOT]


def test_the_empty_block() -> None:
    empty = zoo.blocks_of(b"")
    with zoo.Gateway(empty) as honest:
        gateways = ask(honest)
        assert [gateways.get(cid) for cid in empty] == [b""]
        assert gateways.get(next(iter(empty))) == b""
        assert len(honest.asked) == 1


@pytest.mark.parametrize("kind", [zoo.RawOnly, zoo.RootOnly, zoo.BreaksCars])
def test_what_a_car_leaves_out_comes_block_by_block(kind: type[zoo.Gateway]) -> None:
    with kind(BLOCKS) as gateway:
        gateways = ask(gateway)
        assert read_file(ROOT, gateways.get, MAX_LIST_BYTES) == DATA
        kinds = [what for what, _ in gateway.asked]
        assert kinds[0] == "car"
        assert set(kinds[1:]) == {"raw"}
        assert len(gateway.asked) == len(set(gateway.asked)) <= 1 + len(BLOCKS)


def test_each_has_a_part() -> None:
    """Nobody has all of the file, but all of them together do."""
    leaves = [cid for cid in BLOCKS if cid.codec == RAW]
    parts = [{ROOT: BLOCKS[ROOT]}, {leaves[0]: BLOCKS[leaves[0]]}, {cid: BLOCKS[cid] for cid in leaves[1:]}]
    with ExitStack() as stack:
        gateways = ask(*(stack.enter_context(zoo.Gateway(part)) for part in parts))
        assert read_file(ROOT, gateways.get, MAX_LIST_BYTES) == DATA
        assert gateways.faults == ()


def test_what_nobody_has_is_asked_for_once() -> None:
    """The root is there, a leaf is nowhere: whoever reads the file then hears it at once, and other files go on."""
    missing = list(BLOCKS)[1]
    part = {cid: block for cid, block in BLOCKS.items() if cid != missing}
    other = zoo.blocks_of(b"small")
    with zoo.Gateway({**part, **other}) as gateway:
        gateways = ask(gateway)
        assert gateways.get(ROOT) == BLOCKS[ROOT]
        asked = list(gateway.asked)
        assert gateways.get(missing) is None
        assert gateway.asked == asked
        assert gateways.get(next(iter(other))) == b"small"
        assert gateways.faults == ()


def test_a_file_that_is_too_large_is_not_read_nor_blamed() -> None:
    """The root says so: an honest gateway that would send on is stopped there."""
    large = random.Random(4).randbytes(MAX_LIST_BYTES + 1)
    blocks = zoo.blocks_of(large)
    root = list(blocks)[-1]
    sent = []

    class Counts(zoo.Gateway):
        def stream(self, line: socket.socket, parts: object, kind: str = zoo.CAR_KIND) -> None:
            self.head(line, 200, kind)
            for cid, block in zoo.in_order(self.blocks, root):
                sent.append(cid)
                line.sendall(b"".join(write_car(root, [(cid, block)]))[0 if cid == root else 59 :])

    with Counts(blocks) as gateway:
        gateways = ask(gateway)
        assert gateways.get(root) == blocks[root]
        assert gateways.faults == ()
        assert gateway.asked == [("car", root.text)]


def test_a_directory_is_no_reason_to_ask_further() -> None:
    directory = b"\x0a\x02\x08\x01"
    root = cid_of(directory, DAG_PB)
    with zoo.Gateway({root: directory}) as gateway:
        gateways = ask(gateway)
        assert gateways.get(root) == directory
        assert gateway.asked == [("car", root.text)]


def test_other_kinds_of_cids_are_nobodys_business() -> None:
    with zoo.Gateway(BLOCKS) as gateway:
        assert ask(gateway).get(cid_of(b"x", 0x71)) is None
        assert gateway.asked == []
        v0 = Cid(DAG_PB, ROOT.digest, version=0)
        assert ask(gateway).get(v0) == BLOCKS[ROOT]


def test_a_block_of_the_largest_size_and_one_beyond() -> None:
    for size in (MAX_BLOCK_SIZE, MAX_BLOCK_SIZE + 1):
        block = bytes(size)
        cid = cid_of(block, RAW)
        with zoo.Gateway({cid: block}) as gateway:
            assert ask(gateway).get(cid) == (block if size == MAX_BLOCK_SIZE else None)


def test_what_is_kept_has_a_limit() -> None:
    chance = random.Random(8)
    blocks = {cid_of(block, RAW): block for block in (chance.randbytes(MAX_BLOCK_SIZE) for _ in range(18))}
    with zoo.Gateway(blocks) as gateway:
        gateways = ask(gateway)
        for cid, block in blocks.items():
            assert gateways.get(cid) == block
        first, *_, last = blocks
        assert gateways.get(last) == blocks[last]
        assert len(gateway.asked) == 18
        assert gateways.get(first) == blocks[first]
        assert len(gateway.asked) == 19


# ---- several at once


def test_nine_of_ten_stall() -> None:
    """Each costs a moment, and only once: who delivered is asked first from then on."""
    other = zoo.blocks_of(b"small")
    with ExitStack() as stack:
        stalling = [stack.enter_context(zoo.StallsAtOnce(BLOCKS)) for _ in range(9)]
        honest = stack.enter_context(zoo.Gateway({**BLOCKS, **other}))
        gateways = ask(*stalling, honest)
        started = time.monotonic()
        assert gateways.get(ROOT) == BLOCKS[ROOT]
        assert time.monotonic() - started < 5
        # They were given up at once, long before their time was over.
        for animal in stalling:
            assert animal.hung_up.acquire(timeout=5)
        started = time.monotonic()
        assert gateways.get(next(iter(other))) == b"small"
        assert time.monotonic() - started < 5
        assert sum(len(animal.headers) for animal in stalling) <= 10
        assert gateways.faults == ()


def test_who_fails_makes_room_at_once() -> None:
    """Nobody waits for the next one's turn if there is nothing to wait for."""
    with ExitStack() as stack:
        failing = [
            stack.enter_context(kind({})) for kind in (zoo.Absent, zoo.Html, zoo.Forbidden, zoo.HangsUp)
        ]
        honest = stack.enter_context(zoo.Gateway(BLOCKS))
        started = time.monotonic()
        assert ask(*failing, honest, patience=Patience(stagger=30)).get(ROOT) == BLOCKS[ROOT]
        assert time.monotonic() - started < 10


def test_all_stall() -> None:
    with zoo.StallsAtOnce(BLOCKS) as one, zoo.DripsTheHead(BLOCKS) as other:
        gateways = ask(one, other, patience=SHORT)
        assert gateways.get(ROOT) is None
        assert {fault.gateway: fault.what for fault in gateways.faults} == {
            one.url: "it doesn't answer in time",
            other.url: "it doesn't answer in time",
        }
        assert one.hung_up.acquire(timeout=5)
        assert other.hung_up.acquire(timeout=5)


def test_what_nobody_has_costs_less_each_time_and_loses_nothing_else() -> None:
    """A gateway that looks for it in vain is asked for other things all the same."""

    class Looks(zoo.Gateway):
        def answer(self, line: socket.socket, path: str) -> None:
            if any(cid.text in path for cid in self.blocks):
                super().answer(line, path)
            else:
                self.wait_for_hang_up(line)

    patience = Patience(answer=8.0)
    assert [patience.after(stalls).answer for stalls in range(5)] == [8.0, 4.0, 2.0, 2.0, 2.0]
    assert Patience(answer=0.5).after(3).answer == 0.5
    with Looks(BLOCKS) as gateway:
        gateways = ask(gateway, patience=Patience(answer=0.3, pause=600))
        for number in range(6):
            assert ask_for(gateways, number) is None
        assert read_file(ROOT, gateways.get, MAX_LIST_BYTES) == DATA
        assert [fault.dropped for fault in gateways.faults] == [False]


def test_the_whole_has_a_deadline() -> None:
    """A gateway that keeps to every other limit and is never done."""

    class Crawls(zoo.RawOnly):
        def raw(self, line: socket.socket, cid: Cid) -> None:
            self.over.wait(0.15)
            super().raw(line, cid)

    chance = random.Random(9)
    blocks = zoo.blocks_of(chance.randbytes(4 * MIB))
    with Crawls(blocks) as gateway:
        gateways = ask(gateway, patience=Patience(whole=0.5, pause=60))
        started = time.monotonic()
        refusal(read_file, list(blocks)[-1], gateways.get, MAX_LIST_BYTES, kind=MissingBlock)
        assert time.monotonic() - started < 5
        assert [fault.what for fault in gateways.faults] == ["it did not deliver in time"]


def test_a_name_that_is_looked_up_forever() -> None:
    """Nothing can end a look-up: it is left alone, and not begun again and again."""
    looked_up = []
    over = threading.Event()

    def resolve(host: str, port: int) -> Sequence[str]:
        looked_up.append(host)
        if host == "slow.example":
            over.wait(60)
        return ["127.0.0.1"]

    try:
        with zoo.Gateway(BLOCKS) as honest:
            gateways = Gateways(["http://slow.example", honest.url], patience=LONG, resolve=resolve)
            started = time.monotonic()
            assert read_file(ROOT, gateways.get, MAX_LIST_BYTES) == DATA
            assert time.monotonic() - started < 5
        alone = Gateways(["http://slow.example"], patience=Patience(connect=0.1, pause=0.01), resolve=resolve)
        looked_up.clear()
        started = time.monotonic()
        for number in range(20):
            assert ask_for(alone, number) is None
        assert time.monotonic() - started < 10
        assert len(looked_up) == 3
        assert [fault.what for fault in alone.faults] == ["it can't be reached in time"]
    finally:
        over.set()


def ask_for(gateways: Gateways, number: int) -> bytes | None:
    return gateways.get(cid_of(b"%d" % number, RAW))


def test_one_that_fails_is_asked_again_and_not_for_ever() -> None:
    class Recovers(zoo.Gateway):
        def answer(self, line: socket.socket, path: str) -> None:
            if len(self.headers) < 3:
                self.say(line, 503)
            else:
                super().answer(line, path)

    with Recovers(BLOCKS) as gateway:
        gateways = ask(gateway, patience=Patience(pause=0.02))
        assert gateways.get(LEAF) == BLOCKS[LEAF]
        assert len(gateway.headers) == 3
        assert [fault.what for fault in gateways.faults] == ["it answers with HTTP status 503"]
    with zoo.Broken(BLOCKS) as broken:
        gateways = ask(broken, patience=Patience(pause=0.02))
        assert gateways.get(LEAF) is None
        assert len(broken.asked) == 3


def test_pauses_grow() -> None:
    with zoo.Broken(BLOCKS) as broken:
        gateways = ask(broken, patience=Patience(pause=0.05, wait=0.12))
        started = time.monotonic()
        for number in range(50):
            assert ask_for(gateways, number) is None
        # 0.05 and 0.1 s are waited for; 0.2 s are not, and nobody is asked until they are over.
        took = time.monotonic() - started
        assert len(broken.asked) <= 3 + took / 0.2


def test_retry_after_is_kept() -> None:
    with zoo.Busy(BLOCKS) as busy:
        gateways = ask(busy, patience=Patience(pause=0.001))
        assert gateways.get(ROOT) is None
        assert gateways.get(LEAF) is None
        assert len(busy.asked) == 1


def test_one_that_is_not_there() -> None:
    with zoo.Gateway(BLOCKS) as honest:
        gateways = ask(closed_port(), "http://no.such.host.invalid", honest)
        assert gateways.get(ROOT) == BLOCKS[ROOT]
    gateways = ask(closed_port(), patience=SHORT)
    assert gateways.get(ROOT) is None
    (fault,) = gateways.faults
    assert fault.what.startswith("it can't be reached: ")


def test_none_at_all() -> None:
    assert Gateways([]).get(ROOT) is None
    assert Gateways([]).faults == ()


def test_a_bug_of_ours_is_not_hidden() -> None:
    def broken(*_: object) -> Sequence[str]:
        raise AssertionError("a bug")

    with pytest.raises(AssertionError, match="a bug"):
        Gateways(["http://a.example"], resolve=broken).get(LEAF)


# ---- where requests may go


class Net:
    """Names and public addresses of a made-up internet, and what was looked up and dialled."""

    def __init__(self, names: dict[str, list[list[str]]], ports: dict[str, int]) -> None:
        self.names = names
        self.ports = ports
        self.looked_up: list[str] = []
        self.dialled: list[str] = []

    def resolve(self, host: str, port: int) -> Sequence[str]:
        """Each look-up of a name may have another answer."""
        self.looked_up.append(host)
        if host not in self.names:
            return socket.inet_ntoa(socket.inet_aton(host)).split()
        answers = self.names[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def dial(self, address: str, port: int, timeout: float) -> socket.socket:
        self.dialled.append(address)
        return socket.create_connection(("127.0.0.1", self.ports.get(address, port)), timeout)


class Elsewhere(zoo.Gateway):
    """It redirects to `location`, with the path behind."""

    location = ""

    def answer(self, line: socket.socket, path: str) -> None:
        self.asked.append(("any", path))
        self.say(line, 302, b"", "text/plain", f"Location: {self.location}{path}")


def test_a_redirect_to_a_public_address_is_followed() -> None:
    with zoo.Gateway(BLOCKS) as honest, Elsewhere(BLOCKS) as first:
        first.location = "http://far.example:81"
        net = Net({"far.example": [["203.0.114.7"], ["10.0.0.1"]]}, {"203.0.114.7": honest.port})
        gateways = Gateways([first.url], resolve=net.resolve, dial=net.dial)
        assert gateways.get(LEAF) == BLOCKS[LEAF]
        # Looked up once, and what was checked is what was dialled: a second look-up would have found another.
        assert net.looked_up == ["127.0.0.1", "far.example"]
        assert net.dialled == ["127.0.0.1", "203.0.114.7"]
        assert honest.headers[0]["host"] == "far.example:81"


@pytest.mark.parametrize(
    "addresses",
    [["10.0.0.1"], ["203.0.114.7", "127.0.0.1"], ["::ffff:192.168.0.1"], ["fe80::1%eth0"], ["100.64.0.1"]],
)
def test_a_redirect_to_a_name_with_a_private_address_is_not(addresses: list[str]) -> None:
    with zoo.Gateway(BLOCKS) as honest, Elsewhere(BLOCKS) as first:
        first.location = "http://far.example"
        net = Net({"far.example": [addresses]}, dict.fromkeys(set(addresses) - {"127.0.0.1"}, honest.port))
        gateways = Gateways([first.url], resolve=net.resolve, dial=net.dial, patience=LONG)
        assert gateways.get(LEAF) is None
        assert net.dialled == ["127.0.0.1"]
        (fault,) = gateways.faults
        assert (fault.what, fault.dropped) == ("it redirects to an address that is not public", True)
        assert honest.asked == []


def test_a_node_of_this_machine_by_its_name() -> None:
    """Kubo sends whoever asks for localhost to a name below that, so it is asked by its address."""

    class Kubo(zoo.Gateway):
        def answer(self, line: socket.socket, path: str) -> None:
            if "localhost" in self.headers[-1]["host"]:
                self.say(line, 301, b"", "text/plain", f"Location: http://x.ipfs.localhost:{self.port}/")
            else:
                super().answer(line, path)

    with Kubo(BLOCKS) as gateway:
        assert ask(f"http://localhost:{gateway.port}").get(LEAF) == BLOCKS[LEAF]


@pytest.mark.parametrize("count", [3, 4])
def test_three_redirects_are_followed(count: int) -> None:
    class Circles(zoo.Gateway):
        def answer(self, line: socket.socket, path: str) -> None:
            if len(self.headers) <= count:
                self.say(line, 302, b"", "text/plain", f"Location: http://far.example{path}")
            else:
                super().answer(line, path)

    with Circles(BLOCKS) as gateway:
        net = Net({"far.example": [["203.0.114.7"]]}, {"203.0.114.7": gateway.port})
        gateways = Gateways([gateway.url], resolve=net.resolve, dial=net.dial, patience=LONG)
        assert gateways.get(LEAF) == (BLOCKS[LEAF] if count == 3 else None)
        assert len(gateway.headers) == 4
        assert [fault.what for fault in gateways.faults] == ["it redirects more than 3 times"] * (count - 3)


def test_the_next_address_is_tried() -> None:
    with zoo.Gateway(BLOCKS) as honest:
        dead = int(closed_port().rpartition(":")[2])
        net = Net(
            {"far.example": [["203.0.114.1", "203.0.114.7"]]},
            {"203.0.114.1": dead, "203.0.114.7": honest.port},
        )
        gateways = Gateways(["http://far.example"], resolve=net.resolve, dial=net.dial, patience=LONG)
        assert gateways.get(LEAF) == BLOCKS[LEAF]
        assert net.dialled == ["203.0.114.1", "203.0.114.7"]


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with zoo.Gateway(BLOCKS) as honest, zoo.Html(BLOCKS) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert ask(honest).get(LEAF) == BLOCKS[LEAF]
        assert proxy.headers == []


# ---- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 and far.example with its key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a gateway")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("far.example")]
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=9))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


@pytest.fixture
def served(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


def test_https(served: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    with zoo.Gateway(BLOCKS, tls=served) as gateway:
        gateways = Gateways([gateway.url], tls=trusting, patience=LONG)
        assert read_file(ROOT, gateways.get, MAX_LIST_BYTES) == DATA
        assert gateways.faults == ()


def test_a_certificate_that_nobody_vouches_for(served: ssl.SSLContext) -> None:
    with zoo.Gateway(BLOCKS, tls=served) as gateway:
        gateways = ask(gateway)
        assert gateways.get(LEAF) is None
        (fault,) = gateways.faults
        assert fault.what.startswith("its certificate is not valid: ")
        assert fault.dropped
        assert gateway.asked == []


def test_a_certificate_for_another_name(served: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    """The address is what was checked, the name is what the certificate has to have."""
    with zoo.Gateway(BLOCKS, tls=served) as gateway:
        for host, found in (
            ("far.example", BLOCKS[LEAF]),
            ("far.example.", BLOCKS[LEAF]),
            ("near.example", None),
        ):
            net = Net({host: [["203.0.114.7"]]}, {"203.0.114.7": gateway.port})
            gateways = Gateways(
                [f"https://{host}"], tls=trusting, resolve=net.resolve, dial=net.dial, patience=LONG
            )
            assert gateways.get(LEAF) == found


def test_from_https_to_http(served: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    with Elsewhere(BLOCKS, tls=served) as gateway, zoo.Gateway(BLOCKS) as honest:
        gateway.location = "http://far.example"
        net = Net({"far.example": [["203.0.114.7"]]}, {"203.0.114.7": honest.port})
        gateways = Gateways([gateway.url], tls=trusting, resolve=net.resolve, dial=net.dial, patience=LONG)
        assert gateways.get(LEAF) is None
        (fault,) = gateways.faults
        assert (fault.what, fault.dropped) == ("it redirects to where it may not", True)
        assert honest.headers == []


@pytest.mark.parametrize("drips", [False, True])
def test_a_handshake_that_never_ends(trusting: ssl.SSLContext, drips: bool) -> None:
    class Hesitates(zoo.Gateway):
        def _serve(self, line: socket.socket) -> None:
            try:
                line.sendall(
                    b"\x16\x03\x03\x3f\xff"
                )  # a record of 16 KiB, of which a byte comes now and then
                if drips:
                    self.forever(line, b"\x02", 0.02)
                self.over.wait()
            except OSError:
                self.hung_up.release()
            finally:
                line.close()

    with Hesitates(BLOCKS) as gateway:
        url = gateway.url.replace("http:", "https:")
        gateways = Gateways([url], tls=trusting, patience=Patience(connect=0.4))
        started = time.monotonic()
        assert gateways.get(LEAF) is None
        assert time.monotonic() - started < 5
        assert [fault.what for fault in gateways.faults] == ["it can't be reached in time"]


def test_given_up_within_tls(served: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    with zoo.StallsInTheBody(BLOCKS, tls=served) as slow, zoo.Gateway(BLOCKS) as honest:
        gateways = Gateways([slow.url, honest.url], tls=trusting, patience=LONG)
        assert gateways.get(LEAF) == BLOCKS[LEAF]
        assert gateways.faults == ()


# ---- addresses


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://trustless-gateway.link", "https://trustless-gateway.link"),
        (" HTTPS://Trustless-Gateway.LINK:443/ ", "https://trustless-gateway.link"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
        ("http://[2001:DB8:0:0::1]", "http://[2001:db8::1]"),
        ("http://my_kubo:80", "http://my_kubo"),
        ("https://a.example/some/path%20x/", "https://a.example/some/path%20x"),
    ],
)
def test_addresses_of_gateways(text: str, url: str) -> None:
    assert gateway_urls([text]) == [url]
    assert gateway_urls([url, text]) == [url]
    assert target_of(url).origin == url.partition("/some")[0]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "a.example",
            "//a.example",
            "ftp://a.example",
            "file:///etc/passwd",
            "http:a.example",
            "http:/a",
        ),
        *(
            "http://",
            "http:///x",
            "http://:80",
            "http://a..b",
            "http://-a.example",
            f"http://{'a' * 64}.example",
        ),
        *("http://a:", "http://a:0", "http://a:65536", "http://a:+80", "http://a:8_0", "http://a:\u0661"),
        *("http://user@a", "http://user:secret@a", "http://@a", "http://a?x", "http://a?", "http://a#x"),
        *("http://a#", "http://a b", "http://a\\b", "http://a/\x00", "http://a\r\nX: y", "http://a/%zz"),
        *(
            "http://\u00e4.example",
            "http://a/\u202e",
            "http://[::1",
            "http://[::1]x",
            "http://[fe80::1%25eth0]",
        ),
        *(
            "http://[v1.a]",
            "http://[127.0.0.1]",
            "http://::1",
            "https://a/ipfs",
            "https://a/x/ipfs/",
            "https://a/ipns",
        ),
        "http://a/" + "x" * 3000,
    ],
)
def test_what_is_no_address(text: str) -> None:
    assert "secret" not in refusal(gateway_urls, [text], kind=Usage)


def test_so_many_gateways() -> None:
    urls = [f"https://{number}.example" for number in range(MAX_GATEWAYS)]
    assert gateway_urls(urls * 2) == urls
    refusal(gateway_urls, [*urls, "https://more.example"], kind=Usage)


@given(st.text(st.sampled_from("htps:/[]@?#%.\\ \t\x00a1-_0ä"), max_size=30))
def test_any_text_is_an_address_in_one_form_or_none(text: str) -> None:
    for each in (text, f"http://{text}"):
        found = attempt(gateway_urls, [each], kind=Usage)
        if found is not None:
            assert gateway_urls(found) == found


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/x?y#z", "https://a.example:8443/x?y"),
        ("b", "https://a.example:8443/ipfs/b"),
        ("//b.example/x", "https://b.example/x"),
        ("https://c.example", "https://c.example/"),
        ("?format=raw", "https://a.example:8443/ipfs/x?format=raw"),
    ],
)
def test_redirects(location: str, url: str) -> None:
    assert redirected(target_of("https://a.example:8443/ipfs/x"), location).url == url


@given(st.text(max_size=40) | st.text(st.sampled_from("htps:/[]@?#%.\\ \t\x00a1"), max_size=30))
def test_any_redirect_leads_to_an_address_or_nowhere(location: str) -> None:
    try:
        found = redirected(target_of("https://a.example/ipfs/x"), location)
    except ValueError:
        return
    assert found.url.isascii()
    assert found.url.isprintable()
    assert " " not in found.url
    assert found.scheme == "https"
    assert target_of(found.url) == found


PUBLIC = ("8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1")
NOT_PUBLIC = (
    *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
    *("224.0.0.1", "239.255.255.255", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1"),
    *(
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd12::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "2001:db8::1",
    ),
    *(
        "::ffff:127.0.0.1",
        "::ffff:100.64.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2002:a00:1::1",
    ),
    *("2001::1", "64:ff9b:1::1"),
)


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_not_public(address: str) -> None:
    assert not is_public(address)


# ---- what consumers are told


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """An organisation, a certificate, and nobody who has the lists but gateways."""
    world = World(tmp_path_factory.mktemp("world"))
    world.found("E1", "E2")
    world.certify("E1")
    world.mine(world.min_confirmations)
    return world


class Reading:
    """A `ContentStore` that is only read from."""

    def __init__(self, gateways: Gateways) -> None:
        self.get = gateways.get

    def put_file(self, data: bytes) -> Cid:
        raise AssertionError("whoever verifies stores nothing")


def lists(world: World) -> dict[Cid, bytes]:
    return zoo.blocks_of(*world.lists.values())


def test_a_verdict_with_lists_from_gateways(world: World) -> None:
    with (
        zoo.OtherBytes(lists(world)) as liar,
        zoo.StallsAtOnce({}) as stalls,
        zoo.Gateway(lists(world)) as honest,
    ):
        gateways = ask(liar, stalls, honest)
        assert said(world.verify(contents=Reading(gateways))) == ("trusted", None)
        assert [(fault.gateway, fault.dropped) for fault in gateways.faults] == [(liar.url, True)]


def test_a_verdict_without_any(world: World) -> None:
    """Lies, silence and what isn't there all mean one thing: nobody knows yet."""
    animals = (
        zoo.OtherBytes,
        zoo.StallsAtOnce,
        zoo.Absent,
        zoo.Floods,
        zoo.Broken,
        zoo.Html,
        zoo.RedirectsToItself,
    )
    with ExitStack() as stack:
        gateways = ask(*(stack.enter_context(kind(lists(world))) for kind in animals), patience=SHORT)
        started = time.monotonic()
        assert said(world.verify(contents=Reading(gateways))) == ("undetermined", "list_missing")
        assert time.monotonic() - started < 10
    assert said(world.verify(contents=Reading(Gateways([])))) == ("undetermined", "list_missing")


def test_foreign_lists_are_not_fetched(tmp_path: Path) -> None:
    """Whoever writes under an organisation's name can't make us ask for what they like."""
    world = World(tmp_path)
    world.found("E1")
    ours = lists(world)
    world.overwrite_list("thief")
    world.certify("E1")
    world.mine(world.min_confirmations)
    with zoo.Gateway(lists(world)) as gateway:
        assert said(world.verify(contents=Reading(ask(gateway)))) == ("trusted", None)
        assert {cid for _, cid in gateway.asked} == {cid.text for cid in ours}
    assert len(lists(world)) == 2
