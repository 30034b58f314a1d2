"""What every test gets: a home of its own, no settings of the developer's, and no silent skips in CI."""

import os
import signal
import zlib
from collections.abc import Generator, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

#: `.ci/run` sets it. Read once, here: tests don't see it, so that none can behave otherwise in CI.
IN_CI = os.environ.get("DOITRUST_CI") == "1"

#: In CI a skip must say what this machine can never have; any other skip is a test that nobody runs.
ALLOWED_SKIP = "cannot be had here:"

#: How many cases of a test with the marker `thorough` were left for CI.
_left_for_ci = 0

settings.register_profile("default", deadline=None, max_examples=25)
settings.register_profile("ci", deadline=None, max_examples=50, derandomize=True, print_blob=True)
settings.load_profile("ci" if IN_CI else "default")

# Whoever runs the tests in the background may have told us to ignore Ctrl-C, which our processes would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

_numbers = count()


@pytest.fixture(scope="session", autouse=True)
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The session's own environment, so that fixtures that outlive a test are isolated too."""
    homes = tmp_path_factory.mktemp("homes")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("DOITRUST_", "XDG_")):
                patch.delenv(name)
        _enter(homes / "session", patch)
        yield homes


@pytest.fixture(autouse=True)
def home(_homes: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test its own empty user directory and, inside it, the state folder that is made at first use.

    Returns the state folder (`DOITRUST_HOME`).
    """
    return _enter(_homes / str(next(_numbers)), monkeypatch)


def _enter(user: Path, patch: pytest.MonkeyPatch) -> Path:
    user.mkdir()
    state = user / "doitrust"
    patch.setenv("HOME", str(user))
    patch.setenv("USERPROFILE", str(user))
    patch.setenv("DOITRUST_HOME", str(state))
    return state


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """By hand run a sample of what is marked as thorough: one case in so many, or none (0). CI runs all of it."""
    global _left_for_ci  # noqa: PLW0603  # told at the end
    if IN_CI or config.getoption("keyword") or any("::" in argument for argument in config.args):
        return  # who names a test wants it
    left = []
    for item in items:
        marker = item.get_closest_marker("thorough")
        share = None if marker is None else marker.args[0]
        if share is not None and (share == 0 or zlib.crc32(item.nodeid.encode()) % share):
            left.append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
        _left_for_ci = len(left)
        if hasattr(config, "workeroutput"):
            config.workeroutput["left_for_ci"] = len(left)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Hear it from the processes that ran the tests: each has collected all of them."""
    global _left_for_ci  # noqa: PLW0603  # told at the end
    _left_for_ci = getattr(node, "workeroutput", {}).get("left_for_ci", _left_for_ci)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out."""
    if _left_for_ci:
        terminalreporter.write_line(
            f"{_left_for_ci} thorough cases are left for CI; DOITRUST_CI=1 runs them here."
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped(report)
    return report


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In CI, turn the report of a skip that isn't allowed into a failure.

    An expected failure (xfail) is no skip if it ran: it is strict, and fails once it passes.
    """
    ran = hasattr(report, "wasxfail") and "[NOTRUN]" not in report.wasxfail
    if not IN_CI or not report.skipped or ran:
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith(ALLOWED_SKIP):
        report.outcome = "failed"
        report.longrepr = f"Skipped in CI, where only «{ALLOWED_SKIP} …» may be: {reason}"
