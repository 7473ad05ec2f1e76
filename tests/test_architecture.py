"""The borders of the house: imports go down, the core touches nothing, and no room grows too large."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "appliance"
MODULES = sorted(PACKAGE.rglob("*.py"))

FLOORS = [
    ("appliance.cli",),
    ("appliance.daemon", "appliance.root.supervisor"),
    ("appliance.root.loading", "appliance.restoring"),
    ("appliance.replay",),
    ("appliance.root.last_good", "appliance.root.rollback", "appliance.root.rulesets"),
    ("appliance.web",),
    ("appliance.setup",),
    ("appliance.people",),
    (
        *("appliance.daily", "appliance.desk", "appliance.fencer", "appliance.gauges", "appliance.overview"),
        *("appliance.recovery", "appliance.surroundings"),
    ),
    ("appliance.doctor", "appliance.drift", "appliance.keeper", "appliance.regulars"),
    ("appliance.gate",),
    ("appliance.enforcer", "appliance.learner", "appliance.notify", "appliance.prover", "appliance.recorder"),
    ("appliance.batches", "appliance.clocks", "appliance.moments", "appliance.names", "appliance.version"),
    ("appliance.metrics", "appliance.store", "appliance.store.evidence", "appliance.store.file"),
    ("appliance.listen",),
    ("appliance.keepsake",),
    ("appliance.root.files", "appliance.root.lockout_guard", "appliance.root.sysctls"),
    ("appliance.config",),
    ("appliance.firewall", "appliance.judge", "appliance.read"),
    ("appliance.root.program",),
    ("appliance.root.identity",),
    ("appliance.root.privilege", "appliance.systemd"),
    ("appliance.model",),
    ("appliance.address",),
]
"""From the roof to the ground: a module imports from its own entry or from floors below."""

EXCEPTIONS = {}

IMPURE = {
    *("asyncio", "logging", "os", "pathlib", "random", "select", "selectors", "secrets", "signal", "socket", "sqlite3"),
    *(
        "ssl",
        "subprocess",
        "tempfile",
        "threading",
        "time",
        "urllib",
        "http",
        "concurrent",
        "multiprocessing",
        "shutil",
    ),
}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imports_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            module = node.module or ""
            is_package = ROOT.joinpath(*module.split(".")).is_dir()
            found |= {f"{module}.{alias.name}" for alias in node.names} if is_package else {module}
    return found


def entry_of(module: str) -> tuple[int, str]:
    found = [(floor, entry) for floor, entries in enumerate(FLOORS) for entry in entries if within(module, entry)]
    assert found, f"{module} stands on no floor"
    return found[0]


def within(module: str, entry: str) -> bool:
    return module == entry or module.startswith(entry + ".")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_down(path):
    module = name_of(path)
    if path.name == "__init__.py":
        assert path.read_text() == "", "__init__.py stays empty"
        return
    floor, entry = entry_of(module)
    for imported in imports_of(path):
        if within(imported, "appliance") and (module, imported) not in EXCEPTIONS:
            below, other = entry_of(imported)
            assert other == entry or below > floor, f"{module} imports {imported}, which is not below it"


@pytest.mark.parametrize("path", [p for p in MODULES if p.parts[len(PACKAGE.parts)] in ("read", "judge")], ids=name_of)
def test_the_core_reads_no_clock_and_touches_nothing(path):
    assert not {imported.partition(".")[0] for imported in imports_of(path)} & IMPURE


def test_only_the_privileged_side_loads_the_nftables_bindings():
    """The receiver neither needs the privilege nor may load GPL-2.0 code beside aiohttp."""
    users = {name_of(path) for path in MODULES if any(i.partition(".")[0] == "nftables" for i in imports_of(path))}
    assert users == {"appliance.firewall.policy.libnftables"}
    importers = {name_of(path) for path in MODULES if users & imports_of(path)}
    assert importers == {
        *("appliance.root.loading", "appliance.root.rollback", "appliance.root.rulesets", "appliance.cli.firewall"),
        *("appliance.firewall.policy.scratch", "appliance.firewall.guard"),
    }
    receivers = reachable({"appliance.daemon", "appliance.cli.receiver"})
    assert not receivers & (importers | users | {"appliance.firewall.helper", "appliance.firewall.table.kernel"})


def reachable(begin):
    """Every module of ours that these import, and that those import, and so on."""
    found, waiting = set(), list(begin)
    while waiting:
        module = waiting.pop()
        path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
        if module not in found and path.exists():
            found.add(module)
            waiting += [imported for imported in imports_of(path) if within(imported, "appliance")]
    return found


def test_nobody_catches_every_exception_but_the_boundary_around_one_line():
    places = {name_of(path) for path in MODULES for line in path.read_text().splitlines() if "except Exception" in line}
    assert places == {"appliance.gate"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_is_over_400_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
