"""The layers of the package, held against every import in it.

A module imports only from its own package or from a lower layer. Imports for annotations count too. The longest name
in `LAYERS` that is a module, or a package around it, says where the module belongs.
"""

import ast
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import asyncrouter

ROOT = Path(asyncrouter.__file__).parent

LAYERS: list[list[str]] = [
    ["_repr", "_pickles", "_types", "_errors", "_events", "_transport.api", "_credentials.secret", "shared"],
    ["_config"],
    ["_transport", "_wire", "_policies", "_credentials"],
    ["_engine"],
    ["_embedding", "_explain", "_listing", "_reply_stream", "_router", "_router_base"],
    ["_api", ""],
    ["files", "openai_api", "prices", "local", "sim", "schema", "recipes"],
    ["batch", "bench"],
    ["integrations"],
    ["serve"],
    ["cli", "__main__"],
]
"""Words; plans; tools, strangers to one another; the engine; the router; the public names; the doors, lowest first.

"" is the package itself: its public names. `_transport.api` is what a wire writes and a transport carries, so it stands
below both; so does `_credentials.secret`, in which keys travel through all of them. `shared` is what a store for many
processes has to do: plain data and arithmetic.
"""
TOOLS = LAYERS[2]
DOORS = LAYERS[6:]
RUN_TIME = {"aiohttp", "anyio", "backoff", "orjson", "multidict", "yarl"}
"""multidict and yarl are aiohttp's own types for headers and URLs."""

CIRCLES = {frozenset({"_types", "_errors"})}
"""The only circle: a reply's trace holds errors, and an error holds its reply; annotations on both sides."""

LATE = {
    "": {"asyncrouter._api", "importlib", "importlib.metadata"},  # a Ctrl-C meanwhile must not end in a traceback
    "_embedding.router": {"asyncrouter._embedding.run"},
    "_engine.lifecycle": {
        "asyncrouter._engine.committed", "asyncrouter._engine.engine", "asyncrouter._engine.race",
        "asyncrouter._engine.sharing", "asyncrouter._engine.spending", "asyncrouter.shared",
    },
    "_explain": {"asyncrouter._wire.registry"},
    "shared": {"asyncrouter.shared._accounts", "asyncrouter.shared._in_process"},
    "_wire.registry": {
        "asyncrouter._wire.anthropic.wire", "asyncrouter._wire.auto", "asyncrouter._wire.embeddings.gemini",
        "asyncrouter._wire.embeddings.openai", "asyncrouter._wire.gemini.wire",
        "asyncrouter._wire.responses.wire",
    },
    "_config.builtin_catalog": {"importlib.resources", "tomllib"},
    "_config.load": {"tomllib"},
    "_config.response_format": {"asyncrouter.schema"},
    "_config.checks": {"difflib"},
    "_credentials.masking": {"html"},
}
"""What modules below the doors import inside a function, so that `import asyncrouter` stays cheap."""


class Import(NamedTuple):
    """One imported module, and how it is imported."""

    of: str
    typing: bool
    late: bool


def name_of(path: Path) -> str:
    """The module's dotted name below `asyncrouter`, "" for the package itself."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> list[Import]:
    """Every module a file imports, dotted, from wherever in the file."""
    tree = tree_of(path)
    typing = {id(inner) for node in ast.walk(tree) if _is_typing(node) for inner in ast.walk(node)}
    late = {
        id(inner) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    }
    return [
        Import(name, id(node) in typing, id(node) in late) for node in ast.walk(tree) for name in _names(path, node)
    ]


def _is_typing(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def _names(path: Path, node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    assert node.level == 0, f"{path}: relative import"
    assert node.module is not None
    inner = [f"{node.module}.{alias.name}" for alias in node.names]
    return [name if _ours(name) in MODULES else node.module for name in inner]


def _ours(name: str) -> str | None:
    """The name below `asyncrouter`, `None` for other people's."""
    if name == "asyncrouter":
        return ""
    return name.removeprefix("asyncrouter.") if name.startswith("asyncrouter.") else None


def layered_name(module: str) -> str:
    """The entry of `LAYERS` a module belongs to."""
    known = {name for layer in LAYERS for name in layer}
    while module not in known:
        assert module, "every module has a layer"
        module = module.rpartition(".")[0] if "." in module else f"{module}: no layer"
        assert not module.endswith("no layer"), module
    return module


def level(entry: str) -> int:
    return next(index for index, layer in enumerate(LAYERS) if entry in layer)


def in_door(module: str) -> bool:
    return module != "" and any(layered_name(module) in layer for layer in DOORS)


def test_the_root_is_a_table_of_contents() -> None:
    """At most fourteen modules lie at the root."""
    assert len(list(ROOT.glob("*.py"))) <= 14


def test_no_file_is_long() -> None:
    """No file is over 350 lines, and the median is near 130 at most."""
    lengths = sorted((path.read_text(encoding="utf-8").count("\n"), module) for module, path in MODULES.items())

    assert [(length, module) for length, module in lengths if length > 350] == []
    assert lengths[len(lengths) // 2][0] <= 140


def test_imports_go_down_only() -> None:
    """A module imports from its own package, its own layer (tools excepted) or a lower one."""
    wrong = []
    for module, path in MODULES.items():
        here = layered_name(module)
        for each in imports(path):
            name = _ours(each.of)
            if name is None or (there := layered_name(name)) == here:
                continue
            strangers = here in TOOLS and there in TOOLS
            if (level(there) > level(here) and each.of not in LATE.get(module, ())) or strangers:
                wrong.append(f"{module} imports {each.of}")

    assert wrong == []


def test_there_is_no_circle() -> None:
    """No module imports itself through others, annotations included; but for `_types` and `_errors`."""
    graph = {
        module: {name for each in imports(path) if (name := _ours(each.of)) is not None and name != module and name}
        for module, path in MODULES.items() if module
    }
    for circle in CIRCLES:
        for one in circle:
            graph[one] -= circle

    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise AssertionError(" → ".join(error.args[1])) from None


def test_doors_use_public_names_only() -> None:
    """A door imports `asyncrouter`'s public names, and of another door nothing that begins with an underscore."""
    wrong = [
        f"{module} imports {each.of}"
        for module, path in MODULES.items() if in_door(module)
        for each in imports(path)
        if (name := _ours(each.of)) is not None and layered_name(name) != layered_name(module)
        if any(part.startswith("_") for part in name.split(".") if part != "__main__")
    ]

    assert wrong == []


def test_imports_stand_at_the_head_of_their_module() -> None:
    """Inside a function below the doors stands only what keeps the import of `asyncrouter` cheap."""
    wrong = [
        f"{module} imports {each.of} inside a function"
        for module, path in MODULES.items() if not in_door(module)
        for each in imports(path) if each.late and each.of not in LATE.get(module, ())
    ]

    assert wrong == []


def test_only_the_transport_knows_aiohttp() -> None:
    """aiohttp's client is one package's business; doors may serve with it."""
    wrong = [
        module
        for module, path in MODULES.items() if not in_door(module) and layered_name(module) != "_transport"
        if any(each.of.split(".")[0] == "aiohttp" for each in imports(path))
    ]

    assert wrong == []


def test_optional_packages_appear_only_in_doors() -> None:
    """Below the doors there is the standard library and the four run-time packages."""
    wrong = [
        f"{module}: {each.of}"
        for module, path in MODULES.items() if not in_door(module)
        for each in imports(path) if not each.typing
        if each.of.split(".")[0] not in RUN_TIME | {"asyncrouter", "__future__"} | set(sys.stdlib_module_names)
    ]

    assert wrong == []


def test_nothing_reads_clocks_or_dice_of_its_own() -> None:
    """Durations come from the loop, randomness from the router, wall time from whoever passes it in."""
    allowed = {
        "_router_base": {"time.time", "random.Random"}, "_wire": {"time.time", "datetime.fromisoformat"},
        "_engine": {"datetime.fromtimestamp"},  # writes an instant that it is given
        "shared": {"time.time"},  # whoever wants another clock passes it in
    }
    wrong = []
    for module, path in MODULES.items():
        if in_door(module):
            continue
        names = {each.of for each in imports(path) if not each.typing}
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
                continue
            if node.value.id in {"time", "random", "datetime"} & names:
                name = f"{node.value.id}.{node.attr}"
                if name not in allowed.get(layered_name(module), set()):
                    wrong.append(f"{module}: {name}")

    assert wrong == []


def test_every_module_can_be_the_first_one_imported() -> None:
    """`import asyncrouter.a.b as c` is not used: it asks the package for `a`, and that imports the public names."""
    wrong = [
        f"{module}: {ast.unparse(node)}"
        for module, path in MODULES.items()
        for node in ast.walk(tree_of(path)) if isinstance(node, ast.Import)
        for alias in node.names if alias.asname and _ours(alias.name)
    ]

    assert wrong == []
