"""The pytest plugin: fixtures `machine` and `hillemu_boot`, marker `hillemu`, options ``--hillemu-...``.

pytest loads this module at every start, for whoever has hillemu installed, so it imports nothing but pytest; the rest
comes when the first test asks for a machine.

From the weakest to the strongest word about what a test boots: the configuration file, the fixture `hillemu_kernel`,
the command line, markers (module, class, function), the variant of a marker's list, `machine`'s own parameter, a call
of `hillemu_boot`.

Not modelled: machines that live longer than a test; the next test gets the same machine as it was after its boot.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from hillemu.testing.pool import MachinePool
    from hillemu.testing.request import Folders
    from hillemu.testing.tested_machine import MachineUnderTest

MARKER = "hillemu"
BUILT_IN = ("built-in", "hillson", "bitmap", "orange")
"""As `hillemu.testing.request.built_in_names` has them, which is imported later."""
VARIANT = "_hillemu_variant"
"""The fixture that a marker's lists are the parameters of."""

FACTORY = "hillemu_boot"
"""The fixture that every test with a machine has, perhaps behind `machine`."""

_pool_key: pytest.StashKey[MachinePool] = pytest.StashKey()
_machines_key: pytest.StashKey[list[MachineUnderTest]] = pytest.StashKey()
_told_key: pytest.StashKey[bool] = pytest.StashKey()


# ---- options --------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hillemu", "hillemu, a PC for testing kernels")
    group.addoption(
        "--hillemu-kernel", metavar="FILE", help="boot this kernel or disk image in tests whose markers name none"
    )
    group.addoption(
        "--hillemu-kernel-module", metavar="FILE.py", help="your parts for the built-in kernel, where markers name none"
    )
    group.addoption(
        "--hillemu-gdb", action="store_true", help="have GDB look at the machines of a test that fails, there and then"
    )
    parser.addini("hillemu_kernel", "the image that tests boot if nothing else names one, from this file's folder")
    parser.addini("hillemu_budget", 'how far runs may go: instructions, virtual time or both; by default "1G 20s"')


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--hillemu-gdb") and getattr(config.option, "numprocesses", None):
        raise pytest.UsageError("--hillemu-gdb needs a terminal, and workers of pytest-xdist have none; leave out -n")
    config.addinivalue_line(
        "markers",
        "hillemu(kernel, kernel_module, mem, cpu, timing, append, modules, initrds, disks, devices, format, until, "
        "at, budget): what the fixtures `machine` and `hillemu_boot` boot; lists for kernel, kernel_module, mem, cpu, "
        "timing and append run the test with each",
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    if (pool := config.stash.get(_pool_key, None)) is not None:
        pool.close()


# ---- fixtures -------------------------------------------------------------------------------------------------------


class BootFactory:
    """What the fixture `hillemu_boot` is: call it for a machine, booted to a point."""

    def __init__(self, request: pytest.FixtureRequest, words: Mapping[str, Any]) -> None:
        self._request = request
        self._words = words
        self._pool = _pool_of(request.config)
        self._machines: list[MachineUnderTest] = request.node.stash.setdefault(_machines_key, [])
        self._lent: list[MachineUnderTest] = []

    def __call__(self, **words: Any) -> MachineUnderTest:
        """A machine of this test alone; what `words` do not say is as the test's markers and the options say.

        `kernel`, `modules`, `initrds`, `disks`: files, from the test's folder or the root folder of the tests.
        `kernel="built-in"` is hillemu's own, `kernel_module` a file with parts for it; `kernel="bitmap"` is another
        profile of hillemu's.
        `mem`, `cpu`, `timing`, `append`, `devices`, `format`: as `hillemu.Machine` and its `load` take them.
        `until` (text on the serial port or the screen) or `at` (address or symbol): where to boot to; else nothing has
        run.  `budget`: how far the boot, and each run after it, may go.

        Raises `GuestFailure` if the boot fails, `OptionError` and `ImageError` for what makes no sense.
        """
        __tracebackhide__ = True
        from hillemu.testing.budget import Budget
        from hillemu.testing.request import make_request, merged

        said = merged([self._words, words])
        if said.get("kernel") is None:
            said["kernel"] = self._request.getfixturevalue("hillemu_kernel")
        module = self._request.config.getoption("--hillemu-kernel-module")
        if module is not None and said["kernel"] in BUILT_IN:
            said.setdefault("kernel_module", self._request.config.invocation_params.dir / module)
        ini = self._request.config.getini("hillemu_budget")
        budget = Budget.parse(ini, option="hillemu_budget") if ini else Budget()
        machine = self._pool.lend(make_request(said, _folders_of(self._request), budget), self._note)
        self._lent.append(machine)
        return machine

    def _note(self, machine: MachineUnderTest) -> None:
        """A machine of this test exists; a report must tell of it even if it never gets through its boot."""
        machine.terminal = partial(_terminal, self._request.config)
        if machine not in self._machines:
            self._machines.append(machine)

    def take_back(self) -> None:
        """The test is over: note what it did, and let others have its machines."""
        for machine in self._lent:
            self._request.node.user_properties += [
                ("hillemu_kernel", machine.kernel_path),
                ("hillemu_instructions", machine.cpu.instructions),
            ]
            if machine.timing is not None:
                self._request.node.user_properties.append(("hillemu_cycles", machine.cycles))
            self._pool.take_back(machine)


@pytest.fixture(scope="session")
def hillemu_kernel(pytestconfig: pytest.Config) -> Any:
    """The image that tests boot whose markers name none: the configuration's.

    Override it to build the kernel first; ``--hillemu-kernel`` still goes before it.
    """
    ini = pytestconfig.getini("hillemu_kernel")
    folder = pytestconfig.inipath.parent if pytestconfig.inipath else pytestconfig.rootpath
    return folder / ini if ini and ini not in BUILT_IN else ini or None


@pytest.fixture
def _hillemu_variant(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(getattr(request, "param", {}))


@pytest.fixture
def hillemu_boot(request: pytest.FixtureRequest, _hillemu_variant: dict[str, Any]) -> Iterator[BootFactory]:
    """`hillemu_boot(kernel="kernel.elf", mem="512M", until="ready")` is a machine; see `BootFactory`."""
    factory = BootFactory(request, _words_of(request, _hillemu_variant))
    yield factory
    factory.take_back()


@pytest.fixture
def machine(request: pytest.FixtureRequest, hillemu_boot: BootFactory) -> MachineUnderTest:
    """A machine that booted what the test's markers and the options say.

    Its parameter, if it has one (``indirect=True``), is a memory size, or a dictionary of words.
    """
    __tracebackhide__ = True
    param = getattr(request, "param", {})
    return hillemu_boot(**(param if isinstance(param, Mapping) else {"mem": param}))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each value of the lists in its markers."""
    if VARIANT not in metafunc.fixturenames or metafunc.definition.get_closest_marker(MARKER) is None:
        return
    from hillemu.emu.errors import OptionError
    from hillemu.testing.request import variant_name, variants

    try:
        found = variants(_marked(metafunc.definition))
    except OptionError:
        return  # the test's own set-up says it, and the other tests run
    if found != [{}]:
        metafunc.parametrize(VARIANT, found, ids=[variant_name(one) for one in found], indirect=True)


def _words_of(request: pytest.FixtureRequest, variant: Mapping[str, Any]) -> dict[str, Any]:
    """What the command line, the markers and the variant say, without the kernel that only a fixture knows."""
    typed = request.config.getoption("--hillemu-kernel")
    option = {}
    if typed is not None:
        option["kernel"] = typed if typed in BUILT_IN else request.config.invocation_params.dir / typed
    return option | _marked(request.node) | dict(variant)


def _marked(node: pytest.Item) -> dict[str, Any]:
    """The words of all markers of `node`, the closest on top."""
    from hillemu.emu.errors import OptionError
    from hillemu.testing.request import merged

    markers = list(node.iter_markers(MARKER))[::-1]
    for marker in markers:
        if marker.args:
            raise OptionError(
                "@pytest.mark.hillemu", f"write what {marker.args[0]!r} is, as in kernel={marker.args[0]!r}"
            )
    return merged(marker.kwargs for marker in markers)


def _folders_of(request: pytest.FixtureRequest) -> Folders:
    from hillemu.testing.request import Folders

    root = request.config.rootpath
    return Folders((request.path.parent, root), root)


def _pool_of(config: pytest.Config) -> MachinePool:
    from hillemu.testing.pool import MachinePool

    if _pool_key not in config.stash:
        config.stash[_pool_key] = MachinePool()
    return config.stash[_pool_key]


# ---- debugging a failed test ----------------------------------------------------------------------------------------


def pytest_exception_interact(node: pytest.Item | pytest.Collector, call: pytest.CallInfo[None]) -> None:
    """Let the user debug the machines of a test that has just failed, if that is wanted."""
    if not node.config.getoption("--hillemu-gdb"):
        return
    from hillemu.emu.errors import UserMistake

    told = call.excinfo.exconly() if call.excinfo is not None else ""
    for machine in node.stash.get(_machines_key, []):
        with machine.terminal():
            print(f"\n{node.nodeid}: {told}\nGDB debugs {machine.kernel_path} where it stands; quit goes on.")
            try:
                machine.debug()
            except UserMistake as mistake:
                print(f"hillemu: {mistake}")


@contextmanager
def _terminal(config: pytest.Config) -> Iterator[None]:
    """Give what runs inside the terminal that pytest runs on."""
    capture: Any = config.pluginmanager.getplugin("capturemanager")
    if capture is None or not capture.is_globally_capturing():
        yield
        return
    capture.suspend(in_=True)
    try:
        yield
    finally:
        capture.resume()


# ---- what a failed test tells ---------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    machines = item.stash.get(_machines_key, [])
    hidden = FACTORY in getattr(item, "fixturenames", ()) and _hide_our_frames(item, call)
    report = yield
    if hidden and call.excinfo is not None:
        report.longrepr = call.excinfo.getrepr(style="value")
    if report.failed and not item.stash.get(_told_key, False):
        item.stash[_told_key] = True
        report.sections += _sections(machines, call)
    return report


def _hide_our_frames(item: pytest.Item, call: pytest.CallInfo[None]) -> bool:
    """Have a traceback end in the test's own line, unless the mistake is ours; return whether no line is the test's."""
    from hillemu.emu.errors import GuestFault, UserMistake

    if call.excinfo is None or item.config.getoption("fulltrace", False):
        return False
    if not isinstance(call.excinfo.value, UserMistake | GuestFault):
        return False
    has_tests_line = False
    # The chain itself is changed, because pytest goes along it anew.
    last, entry = call.excinfo.tb, call.excinfo.tb.tb_next
    while entry is not None:
        owner = str(entry.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        if owner == "hillemu":
            last.tb_next = entry.tb_next
        else:
            last = entry
            has_tests_line |= owner not in ("_pytest", "pluggy")
        entry = entry.tb_next
    if not has_tests_line:
        call.excinfo.tb.tb_next = None  # nobody will see it, and it would cost a third of a second to draw
    return not has_tests_line


def _sections(machines: list[MachineUnderTest], call: pytest.CallInfo[None]) -> list[tuple[str, str]]:
    if not machines:
        return []
    from hillemu.testing.sections import sections_of

    told = str(call.excinfo.value) if call.excinfo is not None else ""
    names = [""] if len(machines) == 1 else [f"machine {number}" for number in range(1, len(machines) + 1)]
    try:
        return [
            (section.title, section.text)
            for one, name in zip(machines, names, strict=True)
            for section in sections_of(one, name=name, told=told)
        ]
    except Exception as error:
        # A report that fails must not take the whole session's results away.
        return [("hillemu: no report of the machine", f"{type(error).__name__}: {error}; please report this bug")]


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Explain what our matchers and page walks say about each other."""
    if op not in ("==", "!=") or not any(type(one).__module__.startswith("hillemu.") for one in (left, right)):
        return None
    from hillemu.testing.explanations import explain

    return explain(op, left, right)
