"""What `make bench` measures, each as a ratio to a baseline in the same run. Prints; never fails.

python bench/run.py [help|judge|bulk|flood|sign|open|content|audit]…
"""

import gc
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from audit import bench_audit
from coincurve import PublicKey
from content import bench_content
from synthetic import Synthetic
from writing import bench_open, bench_sign

from doitrust.chain.tx import Transaction
from doitrust.trust.evidence import Evidence, Located
from doitrust.trust.judge import Judge, judge
from doitrust.trust.policy import Policy

_BARE = """
import click, sys
@click.group(help="A bare click program.")
def root(): pass
for name in ("verify", "org", "meter", "demo", "devnet", "config", "completion"):
    root.add_command(click.Command(name, help=f"What {name} does."))
root.main(["--help"], prog_name="bare")
"""


def timed(work: Callable[[], object], rounds: int) -> float:
    """Seconds one call of `work` takes: the median of `rounds`."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def bench_help() -> None:
    """`doitrust --help` against a bare click program."""
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "bare.py"
        bare.write_text(_BARE)
        ours = [sys.executable, "-c", "from doitrust.cli.main import main; main(['--help'])"]

        def run(command: list[str]) -> Callable[[], object]:
            return lambda: subprocess.run(command, capture_output=True, check=True)

        run(ours)(), run([sys.executable, str(bare)])()
        pairs = [(timed(run([sys.executable, str(bare)]), 1), timed(run(ours), 1)) for _ in range(41)]
    base, mine = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"help: {mine * 1e3:.0f} ms, bare click {base * 1e3:.0f} ms: {mine / base:.2f} ×")


def _signature_checks(evidence: Evidence) -> list[tuple[bytes, bytes, bytes]]:
    """The checks that a verdict about one meter can't avoid: every signature of its certificate."""
    checks = []
    for tx, _ in evidence.transactions.values():
        if tx.inputs[0].witness:
            signature, public = tx.inputs[0].witness
            checks.append((public, signature[:-1], bytes(32)))
    return checks


def bench_judge() -> None:
    """`judge` of one meter from evidence, against coincurve checking the same signatures."""
    chain = Synthetic()
    chain.write("owner", b"bp_organization/Innung", chain.cid.text.encode())
    chain.certify("1EMH0012345678")
    evidence, policy = chain.evidence(), chain.policy()
    assert judge(evidence, policy, "1EMH0012345678").status == "trusted"
    # The root needs no check; the owner's second write and the certificate do.
    checks = _signature_checks(evidence)[1:]

    def baseline() -> None:
        for public, signature, digest in checks:
            PublicKey(public).verify(signature, digest, hasher=None)

    base, mine = timed(baseline, 2001), timed(lambda: judge(evidence, policy, "1EMH0012345678"), 2001)
    print(
        f"judge: {mine * 1e6:.0f} µs a meter, its {len(checks)} signature checks alone {base * 1e6:.0f} µs: "
        f"{base / mine:.2f} × as fast"
    )


def bench_bulk(count: int = 10_000) -> None:
    """Certificates judged a second, and peak memory."""
    chain = Synthetic()
    meters = [f"1EMH{number:010}" for number in range(count)]
    for meter in meters:
        chain.certify(meter)
    policy, rows = chain.policy(), list(chain.transactions.values())
    raws = [located.tx.raw for located in rows]
    del rows
    gc.collect()
    evidence = chain.evidence()
    run = Judge(evidence, policy)
    checks = _signature_checks(evidence)[1:]
    start = time.perf_counter()
    trusted = sum(run.verdict(meter).status == "trusted" for meter in meters)
    mine = time.perf_counter() - start
    start = time.perf_counter()
    for public, signature, digest in checks:
        PublicKey(public).verify(signature, digest, hasher=None)
    base = time.perf_counter() - start
    assert trusted == count
    print(
        f"bulk: {count} certificates judged in {mine:.2f} s, {count / mine:.0f} a second; "
        f"signature checks alone {base:.2f} s: {base / mine:.2f} × as fast"
    )
    _peak(raws, chain, policy, meters)


def _peak(raws: list[bytes], chain: Synthetic, policy: Policy, meters: list[str]) -> None:
    """Peak memory of reading the transactions and judging all meters."""
    places = [located.place for located in chain.transactions.values()]
    frame = chain.evidence()
    tracemalloc.start()
    transactions = {}
    for raw, place in zip(raws, places, strict=True):
        tx = Transaction.parse(raw)
        transactions[tx.txid] = Located(tx, place)
    evidence = Evidence(frame.network, frame.tip, transactions, frame.content, (), frame.sources)
    held = tracemalloc.get_traced_memory()[0]
    run = Judge(evidence, policy)
    for meter in meters:
        run.verdict(meter)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = sum(map(len, raws))
    print(
        f"bulk: {size / 2**20:.1f} MiB of transactions; evidence {held / 2**20:.0f} MiB, peak while judging "
        f"{peak / 2**20:.0f} MiB"
    )


def bench_flood() -> None:
    """Foreign writes on one name: time and memory for 2,500, 5,000 and 10,000."""
    rows = []
    for count in (2_500, 5_000, 10_000):
        chain = Synthetic()
        chain.certify("1EMH0012345678")
        for _ in range(count):
            chain.certify("1EMH0012345678", signer="stranger")
        evidence, policy = chain.evidence(), chain.policy()
        gc.collect()
        seconds = timed(lambda e=evidence, p=policy: judge(e, p, "1EMH0012345678"), 3)
        tracemalloc.start()
        verdict = judge(evidence, policy, "1EMH0012345678")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (verdict.status, verdict.foreign_writes) == ("trusted", count)
        rows.append((count, seconds, peak))
    first = rows[0]
    for count, seconds, peak in rows:
        print(
            f"flood: {count} foreign writes in {seconds:.2f} s ({seconds / count * 1e6:.0f} µs each), "
            f"{peak / 2**20:.1f} MiB: {seconds / first[1]:.2f} × the time and {peak / first[2]:.2f} × the memory of "
            f"{first[0]}"
        )


_ALL: dict[str, Callable[[], object]] = {
    "help": bench_help,
    "judge": bench_judge,
    "bulk": bench_bulk,
    "flood": bench_flood,
    "sign": lambda: bench_sign(timed),
    "open": lambda: bench_open(timed),
    "content": lambda: bench_content(timed),
    "audit": bench_audit,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or _ALL:
        _ALL[name]()
