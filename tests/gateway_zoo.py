"""Gateways on loopback, real servers on real sockets: an honest one, and one class for each way to misbehave.

An answer is written to the socket by hand, as no HTTP library would send most of these.
"""

import contextlib
import gzip
import random
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import ClassVar, Self
from urllib.parse import parse_qs, urlsplit

from doitrust.content.car import write_car
from doitrust.content.cid import Cid, parse_cid, varint
from doitrust.content.unixfs import blocks_of_file, read_file

Blocks = Mapping[Cid, bytes]
RAW_KIND, CAR_KIND = "application/vnd.ipld.raw", "application/vnd.ipld.car; version=1; order=dfs; dups=n"
_STATUS = {
    200: "OK",
    302: "Found",
    404: "Not Found",
    406: "Not Acceptable",
    410: "Gone",
    429: "Too Many Requests",
}


def blocks_of(*files: bytes) -> dict[Cid, bytes]:
    """The blocks of files; the root of the last one comes last."""
    return {cid: block for data in files for cid, block in blocks_of_file(data)}


def in_order(blocks: Blocks, root: Cid) -> list[tuple[Cid, bytes]]:
    """The blocks of a file as far as there are, depth first, each once."""
    found: list[tuple[Cid, bytes]] = []

    def get(cid: Cid) -> bytes | None:
        if cid in blocks:
            found.append((cid, blocks[cid]))
        return blocks.get(cid)

    with contextlib.suppress(Exception):
        read_file(root, get, 2**40)
    return found


class Gateway:
    """An honest one: raw blocks, and CARs."""

    #: What it does is to get nothing out of it, or the right bytes; and to be asked no more.
    delivers: ClassVar[bool] = True
    dropped: ClassVar[bool] = False
    #: Part of what is said about it, where another of our checks would catch it as well.
    fault: ClassVar[str] = ""

    def __init__(self, blocks: Blocks, *, tls: ssl.SSLContext | None = None) -> None:
        self.blocks = dict(blocks)
        self.scheme = "http" if tls is None else "https"
        self._tls = tls
        #: The requests so far, as "raw" or "car" and the CID, and their headers.
        self.asked: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        #: How many connections the other side has closed, while we still had something to say.
        self.hung_up = threading.Semaphore(0)
        self.over = threading.Event()
        self._lines: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._listen)]

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.over.set()
        for line in (self._listener, *self._lines):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(line, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _listen(self) -> None:
        while not self.over.is_set():
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            line.settimeout(30)
            self._lines.append(line)
            thread = threading.Thread(target=self._serve, args=(line,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, line: socket.socket) -> None:
        try:
            if self._tls is not None:
                line = self._tls.wrap_socket(line, server_side=True)
                self._lines.append(line)
            path = self._request(line)
            if path:
                self.answer(line, path)
        except (OSError, ValueError):
            if not self.over.is_set():
                self.hung_up.release()
        finally:
            line.close()

    def _request(self, line: socket.socket) -> str:
        data = b""
        while b"\r\n\r\n" not in data:
            part = line.recv(4096)
            if not part:
                return ""
            data += part
        first, *rest = data.decode("ascii").split("\r\n\r\n")[0].split("\r\n")
        self.headers.append({key.lower(): value for key, _, value in (text.partition(": ") for text in rest)})
        return first.split(" ")[1]

    def wait_for_hang_up(self, line: socket.socket) -> None:
        """Say nothing more, until the other side goes or the test ends."""
        if not line.recv(1) and not self.over.is_set():
            self.hung_up.release()

    def answer(self, line: socket.socket, path: str) -> None:
        """Answer one request."""
        parts = urlsplit(path)
        (kind,) = parse_qs(parts.query)["format"]
        cid = parse_cid(parts.path.rpartition("/ipfs/")[2])
        self.asked.append((kind, cid.text))
        if kind == "raw":
            self.raw(line, cid)
        else:
            self.car(line, cid)

    def raw(self, line: socket.socket, cid: Cid) -> None:
        """Answer with one block."""
        if cid not in self.blocks:
            self.say(line, 404)
        else:
            self.say(line, 200, self.blocks[cid], RAW_KIND)

    def car(self, line: socket.socket, cid: Cid) -> None:
        """Answer with a CAR."""
        if cid not in self.blocks:
            self.say(line, 404)
        else:
            self.stream(line, write_car(cid, in_order(self.blocks, cid)))

    def say(
        self, line: socket.socket, status: int, body: bytes = b"", kind: str = "text/plain", *more: str
    ) -> None:
        """An answer of known length."""
        self.head(line, status, kind, f"Content-Length: {len(body)}", *more)
        line.sendall(body)

    def head(self, line: socket.socket, status: int, kind: str, *more: str) -> None:
        """The head of an answer."""
        head = [
            f"HTTP/1.1 {status} {_STATUS.get(status, 'Whatever')}",
            f"Content-Type: {kind}",
            *more,
            "",
            "",
        ]
        line.sendall("\r\n".join(head).encode())

    def stream(self, line: socket.socket, parts: Iterable[bytes], kind: str = CAR_KIND) -> None:
        """An answer in chunks."""
        self.head(line, 200, kind, "Transfer-Encoding: chunked")
        for part in parts:
            line.sendall(b"%x\r\n%b\r\n" % (len(part), part))
        line.sendall(b"0\r\n\r\n")

    def forever(self, line: socket.socket, part: bytes, pause: float = 0.0) -> None:
        """Send the same again and again."""
        while not self.over.wait(pause) if pause else not self.over.is_set():
            line.sendall(part)


# ---- honest in their way


class RawOnly(Gateway):
    """It makes no CARs."""

    def car(self, line: socket.socket, cid: Cid) -> None:
        self.say(line, 406)


class RootOnly(Gateway):
    """Its CARs end behind the root."""

    def car(self, line: socket.socket, cid: Cid) -> None:
        self.stream(line, write_car(cid, in_order(self.blocks, cid)[:1]))


class BreaksCars(Gateway):
    """Its CARs break off in the middle, as Kubo's do when a block can't be had."""

    def car(self, line: socket.socket, cid: Cid) -> None:
        data = b"".join(write_car(cid, in_order(self.blocks, cid)))
        self.head(line, 200, CAR_KIND, f"Content-Length: {len(data)}")
        line.sendall(data[: len(data) // 2])


class Unordered(Gateway):
    """Its CARs have the root last, another one in their header, and blocks that nobody asked for."""

    extra: ClassVar[Blocks] = blocks_of(b"something else", random.Random(5).randbytes(300_000))

    def car(self, line: socket.socket, cid: Cid) -> None:
        wanted = in_order(self.blocks, cid)[::-1]
        self.stream(line, write_car(next(iter(self.extra)), [*self.extra.items(), *wanted]))


class Repeats(Gateway):
    """Its CARs have each block twice."""

    def car(self, line: socket.socket, cid: Cid) -> None:
        self.stream(line, write_car(cid, [pair for pair in in_order(self.blocks, cid) for _ in range(2)]))


class TinyChunks(Gateway):
    """Chunks of 16 bytes."""

    def raw(self, line: socket.socket, cid: Cid) -> None:
        block = self.blocks[cid]
        chunks = (
            b"%x\r\n%b\r\n" % (len(part), part)
            for part in (block[a : a + 16] for a in range(0, len(block), 16))
        )
        self.head(line, 200, RAW_KIND, "Transfer-Encoding: chunked")
        line.sendall(b"".join(chunks) + b"0\r\n\r\n")


class NoLength(Gateway):
    """The end of the connection is the end of the answer."""

    def raw(self, line: socket.socket, cid: Cid) -> None:
        self.head(line, 200, RAW_KIND)
        line.sendall(self.blocks[cid])


# ---- those that don't deliver


class Useless(Gateway):
    """What doesn't deliver; below it is what can still be asked again."""

    delivers = False


class Absent(Useless):
    def answer(self, line: socket.socket, path: str) -> None:
        self.say(line, 404, b"<html>not here</html>", "text/html")


class Gone(Useless):
    def answer(self, line: socket.socket, path: str) -> None:
        self.say(line, 410)


class Busy(Useless):
    def answer(self, line: socket.socket, path: str) -> None:
        self.asked.append(("any", path))
        self.say(line, 429, b"", "text/plain", "Retry-After: 3600")


class Broken(Useless):
    def answer(self, line: socket.socket, path: str) -> None:
        self.asked.append(("any", path))
        self.say(line, 500, b"\x1b[31mpanic")


class Forbidden(Useless):
    def answer(self, line: socket.socket, path: str) -> None:
        self.say(line, 451)


class HangsUp(Useless):
    def answer(self, line: socket.socket, path: str) -> None:
        pass


class Truncates(Useless):
    """It says how much will come, and sends half of it."""

    def raw(self, line: socket.socket, cid: Cid) -> None:
        block = self.blocks[cid]
        self.head(line, 200, RAW_KIND, f"Content-Length: {len(block)}")
        line.sendall(block[: len(block) // 2])

    def car(self, line: socket.socket, cid: Cid) -> None:
        self.head(line, 200, CAR_KIND, "Transfer-Encoding: chunked")
        line.sendall(b"400\r\n" + b"".join(write_car(cid, in_order(self.blocks, cid)))[:600])


class StallsAtOnce(Useless):
    def answer(self, line: socket.socket, path: str) -> None:
        self.wait_for_hang_up(line)


class StallsInTheHead(Useless):
    def answer(self, line: socket.socket, path: str) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Ty")
        self.wait_for_hang_up(line)


class StallsInTheBody(Useless):
    fault = "too slowly"

    def raw(self, line: socket.socket, cid: Cid) -> None:
        self.head(line, 200, RAW_KIND, f"Content-Length: {len(self.blocks[cid])}")
        line.sendall(self.blocks[cid][:-1])
        self.wait_for_hang_up(line)

    def car(self, line: socket.socket, cid: Cid) -> None:
        data = b"".join(write_car(cid, in_order(self.blocks, cid)))
        self.head(line, 200, CAR_KIND, f"Content-Length: {len(data)}")
        line.sendall(data[: len(data) // 2])
        self.wait_for_hang_up(line)


class DripsTheHead(Useless):
    """A byte now and then: each read succeeds, and it never ends."""

    def answer(self, line: socket.socket, path: str) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        self.forever(line, b"x", 0.02)


class DripsTheBody(Useless):
    fault = "too slowly"

    def raw(self, line: socket.socket, cid: Cid) -> None:
        self.head(line, 200, RAW_KIND, f"Content-Length: {10**6}")
        self.forever(line, b"x", 0.02)

    def car(self, line: socket.socket, cid: Cid) -> None:
        data = b"".join(write_car(cid, in_order(self.blocks, cid)))
        self.head(line, 200, CAR_KIND, f"Content-Length: {len(data)}")
        for at in range(len(data)):
            if self.over.wait(0.02):
                break
            line.sendall(data[at : at + 1])


class OddChunk(Useless):
    """A chunk size that is none, which looks like an answer that was cut short."""

    def answer(self, line: socket.socket, path: str) -> None:
        self.head(line, 200, CAR_KIND if "format=car" in path else RAW_KIND, "Transfer-Encoding: chunked")
        line.sendall(b"zz\r\nxx\r\n")
        self.wait_for_hang_up(line)


# ---- those that lie


class Liar(Useless):
    """What no honest gateway does; it is asked no more."""

    dropped = True


class OtherBytes(Liar):
    def raw(self, line: socket.socket, cid: Cid) -> None:
        self.say(line, 200, bytes(len(self.blocks[cid])), RAW_KIND)

    def car(self, line: socket.socket, cid: Cid) -> None:
        self.stream(line, write_car(cid, [(each, block[::-1]) for each, block in in_order(self.blocks, cid)]))


class OneOtherLeaf(Liar):
    """All but the last byte is right."""

    def raw(self, line: socket.socket, cid: Cid) -> None:
        self.say(line, 200, self.blocks[cid] + b"!", RAW_KIND)

    def car(self, line: socket.socket, cid: Cid) -> None:
        data = bytearray(b"".join(write_car(cid, in_order(self.blocks, cid))))
        data[-1] ^= 1
        self.stream(line, [bytes(data)])


class Html(Liar):
    """A portal's page, with a good status."""

    fault = "answers with text/html"

    def answer(self, line: socket.socket, path: str) -> None:
        self.say(line, 200, b"<html>Please log in</html>", "text/html; charset=utf-8")


class HtmlInDisguise(Liar):
    def answer(self, line: socket.socket, path: str) -> None:
        self.say(line, 200, b"<html>Please log in</html>", CAR_KIND if "format=car" in path else RAW_KIND)


class OddKind(Liar):
    """A kind of content that would rewrite a terminal."""

    def answer(self, line: socket.socket, path: str) -> None:
        self.say(line, 200, b"", "\x1b[2J\u202e".encode("utf-8").decode("latin-1"))


class Redirects(Liar):
    """It sends us elsewhere; `{port}` is where a server of ours listens."""

    location: ClassVar[str] = "http://10.0.0.1/"

    def answer(self, line: socket.socket, path: str) -> None:
        self.asked.append(("any", path))
        self.say(line, 302, b"", "text/plain", f"Location: {self.location.format(port=self.port)}")


class RedirectsToItself(Redirects):
    location = "/"


class RedirectsToLoopback(Redirects):
    location = "http://localhost:{port}/"


class RedirectsToDisguisedLoopback(Redirects):
    location = "http://[::ffff:127.0.0.1]:{port}/"


class RedirectsToShortLoopback(Redirects):
    location = "http://127.1:{port}/"


class RedirectsToMetadata(Redirects):
    location = "http://169.254.169.254/latest/meta-data/"


class RedirectsToFile(Redirects):
    location = "file:///etc/passwd"


class RedirectsWithUser(Redirects):
    location = "http://root:root@192.168.1.1/"


class RedirectsToNonsense(Redirects):
    location = "http://[::1/\t\x7f"


class HugeLength(Liar):
    """It announces a petabyte and begins to send it."""

    def answer(self, line: socket.socket, path: str) -> None:
        self.head(line, 200, CAR_KIND if "format=car" in path else RAW_KIND, f"Content-Length: {10**15}")
        self.forever(line, bytes(64 * 1024))


class Floods(Liar):
    """It sends without a length and without an end."""

    def answer(self, line: socket.socket, path: str) -> None:
        self.head(line, 200, CAR_KIND if "format=car" in path else RAW_KIND)
        self.forever(line, b"x" * 64 * 1024)


class FloodsTheHead(Liar):
    fault = "it sends more than it may"

    def answer(self, line: socket.socket, path: str) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\n")
        self.forever(line, b"X-More: " + b"x" * 4000 + b"\r\n")


class FloodsOneHeader(Liar):
    def answer(self, line: socket.socket, path: str) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\nX-More: ")
        self.forever(line, b"x" * 4096)


class ContinuesForever(Liar):
    def answer(self, line: socket.socket, path: str) -> None:
        self.forever(line, b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


class FloodsChunkSizes(Liar):
    """Chunks of one byte whose sizes have long extensions."""

    def answer(self, line: socket.socket, path: str) -> None:
        self.head(line, 200, CAR_KIND if "format=car" in path else RAW_KIND, "Transfer-Encoding: chunked")
        self.forever(line, (b"1;" + b"x" * 16_000 + b"\r\nx\r\n") * 4)


class FloodsTrailers(Liar):
    """All is there, and the end never comes."""

    def raw(self, line: socket.socket, cid: Cid) -> None:
        block = self.blocks[cid]
        self.head(line, 200, RAW_KIND, "Transfer-Encoding: chunked")
        line.sendall(b"%x\r\n%b\r\n0\r\n" % (len(block), block))
        self.forever(line, b"X-More: " + b"x" * 4000 + b"\r\n")

    def car(self, line: socket.socket, cid: Cid) -> None:
        self.raw(line, cid)  # no CAR, but with this name


class HugeChunk(Liar):
    def answer(self, line: socket.socket, path: str) -> None:
        self.head(line, 200, CAR_KIND if "format=car" in path else RAW_KIND, "Transfer-Encoding: chunked")
        line.sendall(b"f" * 30 + b"\r\n")
        self.forever(line, bytes(64 * 1024))


class Bomb(Liar):
    """A megabyte of gzip that would be a gigabyte."""

    fault = "encoded"

    body: ClassVar[bytes] = gzip.compress(bytes(10**7)) * 100

    def answer(self, line: socket.socket, path: str) -> None:
        kind = CAR_KIND if "format=car" in path else RAW_KIND
        self.say(line, 200, self.body, kind, "Content-Encoding: gzip")


class Garbage(Liar):
    """HTTP 0.9, or what it was called before."""

    def answer(self, line: socket.socket, path: str) -> None:
        line.sendall(b"hello, this is a block\r\n\r\n" * 10)


class LiarInCars(Liar):
    """It lies in CARs only; raw blocks it doesn't have."""

    def raw(self, line: socket.socket, cid: Cid) -> None:
        self.say(line, 404)

    def car(self, line: socket.socket, cid: Cid) -> None:
        self.stream(line, self.parts(cid))

    def parts(self, cid: Cid) -> Iterator[bytes]:
        raise NotImplementedError


class IdentityInCar(LiarInCars):
    def parts(self, cid: Cid) -> Iterator[bytes]:
        yield from write_car(cid, in_order(self.blocks, cid)[:1])
        section = b"\x01\x55\x00\x05block"
        yield varint(len(section)) + section


class HugeCarHeader(LiarInCars):
    def parts(self, cid: Cid) -> Iterator[bytes]:
        yield varint(2**27 - 1)
        while not self.over.is_set():
            yield b"\xa2\x65roots" * 8192


class EmptySections(LiarInCars):
    def parts(self, cid: Cid) -> Iterator[bytes]:
        yield from write_car(cid, [])
        while not self.over.is_set():
            yield bytes(64 * 1024)


class RepeatsForever(LiarInCars):
    """The root again and again: true blocks, and never the next one."""

    def parts(self, cid: Cid) -> Iterator[bytes]:
        header, section = write_car(cid, in_order(self.blocks, cid)[:1])
        yield header
        while not self.over.is_set():
            yield section * 64


class OthersForever(LiarInCars):
    """True blocks that nobody asked for, without an end."""

    def parts(self, cid: Cid) -> Iterator[bytes]:
        chance = random.Random(7)
        yield from write_car(cid, [])
        while not self.over.is_set():
            ((other, block),) = blocks_of(chance.randbytes(100_000)).items()
            yield list(write_car(other, [(other, block)]))[1]


class HugeCarBlock(LiarInCars):
    fault = "a section of 134217728 bytes"

    def parts(self, cid: Cid) -> Iterator[bytes]:
        yield from write_car(cid, [])
        yield varint(2**27)
        while not self.over.is_set():
            yield cid.binary * 1000


class OtherFile(Useless):
    """A CAR that is all right, of another file under another root; nothing in it is what was asked for."""

    def raw(self, line: socket.socket, cid: Cid) -> None:
        self.say(line, 404)

    def car(self, line: socket.socket, cid: Cid) -> None:
        other = blocks_of(b"another file")
        self.stream(line, write_car(next(iter(other)), other.items()))


def kinds(above: type[Gateway] = Gateway) -> list[type[Gateway]]:
    """All animals below one, without those that only head a family."""
    found = [above] if above not in (Useless, Liar, LiarInCars) else []
    return found + [each for below in above.__subclasses__() for each in kinds(below)]
