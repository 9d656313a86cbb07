"""The house of the design, held against the imports: a module imports only from rows below its own."""

import ast
from pathlib import Path

import asyncrouter

ROOT = Path(asyncrouter.__file__).parent

ROWS: list[list[str]] = [
    ["_shown", "_types", "_errors", "_http", "_events"],
    ["_catalog", "_config", "_checks", "_limits", "_names", "_known", "_tables", "_load", "_plan", "_places", "_cost",
     "_prices"],
    ["_wire", "_transport", "_connector", "_exchange", "_aiohttp_errors", "_policies", "_credentials"],
    ["_clock", "_timers", "_engine", "_lane", "_flight", "_stream", "_attempt"],
    ["_verdict", "_retry", "_remaining", "_race"],
    ["_arguments", "_closing", "_insight", "_listing", "_reply_stream", "_router"],
    ["", "_api", "local", "prices", "sim", "batch", "bench", "integrations", "cli"],
]
"""Words, plans, tools, one try, many tries, the router, doors; "" is the package itself."""

TOOLS = {
    "_wire": "wire", "_transport": "transport", "_connector": "transport", "_aiohttp_errors": "transport",
    "_exchange": "transport",
    "_policies": "policies", "_credentials": "credentials",
}
RUN_TIME = {"aiohttp", "anyio", "backoff", "orjson", "multidict", "yarl"}
"""multidict and yarl are aiohttp's own words for headers and URLs."""
AIOHTTP_ROOMS = {"_transport", "_connector", "_exchange", "_aiohttp_errors"}


def modules() -> list[tuple[str, Path]]:
    return [(path.relative_to(ROOT).with_suffix("").as_posix(), path) for path in sorted(ROOT.rglob("*.py"))]


def room(module: str) -> str:
    """The part of the house a module belongs to: its first name, "" for the package itself."""
    first = module.split("/")[0]
    return "" if first in {"__init__", "__main__"} else first


def imports(path: Path, *, types_too: bool) -> list[str]:
    """Every name imported by a file, dotted, as it is written."""
    found: list[str] = []
    skipped: set[int] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if not types_too and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            skipped.update(id(inner) for inner in ast.walk(node))
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            found += [node.module] if node.module != "asyncrouter" else [f"asyncrouter.{a.name}" for a in node.names]
    return found


def level(of: str) -> int:
    return next(index for index, row in enumerate(ROWS) if of in row)


def test_every_module_has_a_row() -> None:
    """No module stands outside the house."""
    placed = {name for row in ROWS for name in row}

    assert set() == {room(module) for module, _ in modules()} - placed


def test_imports_go_down_only() -> None:
    """A module imports from its own room, its own row (tools excepted) or a row above it in the design's picture."""
    wrong = []
    for module, path in modules():
        here = room(module)
        for name in imports(path, types_too=True):
            if not name.startswith("asyncrouter"):
                continue
            part = [*name.split("."), ""][1]
            there = part if any(part in row for row in ROWS) else ""
            if there == here:
                continue
            if level(there) > level(here) or (here in TOOLS and there in TOOLS and TOOLS[here] != TOOLS[there]):
                wrong.append(f"{module} imports {name}")

    assert [] == wrong


def test_only_the_transport_knows_aiohttp() -> None:
    """aiohttp's client is one room's business; doors may serve with it."""
    wrong = [
        module
        for module, path in modules()
        if any(name.split(".")[0] == "aiohttp" for name in imports(path, types_too=True))
        and room(module) not in AIOHTTP_ROOMS
        and level(room(module)) < len(ROWS) - 1
    ]

    assert [] == wrong


def test_optional_packages_appear_only_in_doors() -> None:
    """Below the doors there is the standard library and the four run-time packages."""
    import sys

    wrong = [
        f"{module}: {name}"
        for module, path in modules()
        if level(room(module)) < len(ROWS) - 1
        for name in imports(path, types_too=False)
        if name.split(".")[0] not in RUN_TIME | {"asyncrouter", "__future__"} | set(sys.stdlib_module_names)
    ]

    assert [] == wrong


def test_nothing_reads_clocks_or_dice_of_its_own() -> None:
    """Durations come from the loop, randomness from the router, wall time from whoever passes it in."""
    allowed = {"_router": {"time.time", "random.Random"}, "_wire": {"time.time", "datetime.fromisoformat"}}
    wrong = []
    for module, path in modules():
        if level(room(module)) >= len(ROWS) - 1:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
                continue
            if node.value.id in {"time", "random", "datetime"} and node.value.id in imports(path, types_too=False):
                name = f"{node.value.id}.{node.attr}"
                if name not in allowed.get(room(module), set()):
                    wrong.append(f"{module}: {name}")

    assert [] == wrong
