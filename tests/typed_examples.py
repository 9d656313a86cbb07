"""`python -m tests.typed_examples DIRECTORY`: writes every example as a module, for type checkers.

They are the Python blocks of the README, of docstrings and of the recipes. Each becomes a module of its own, inside
`async def main()` where it awaits, after the names that the text around it has introduced. `mypy --strict` and
`pyright` then see what somebody sees who has copied it.
"""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path
from textwrap import indent

import asyncrouter
from asyncrouter import recipes, sim
from tests.test_readme import BLOCKS, DOCSTRINGS, SERVICE, examples

GIVEN = {
    "router": "router = Router()", "reply": "reply = Reply()", "prompt": 'prompt = "hello"', "world": "world = World()",
    "prompts": 'prompts = ["hello"]', "messages": "messages: list[Message] = []",
}
"""What the text around an example says is there."""
VENDORS = ("azure.identity", "google.auth")
"""Packages that recipes take keys from, and that need not be installed."""
MODULES = {"asyncrouter": [*asyncrouter.__all__, "batch", "bench"], "asyncrouter.sim": sim.__all__}


def module(block: str) -> str:
    """An example as a module."""
    if "@app." in block and "FastAPI(" not in block:
        block = SERVICE + block
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST
    missing = _used(block) - _bound(compile(block, "example", "exec", flags=flags))
    given = [f"{GIVEN[name]}\n" for name in GIVEN if name in missing]
    missing |= _used("".join(given))
    imports = ["import json\n"] if "json" in missing else []
    if any(vendor in block for vendor in VENDORS):
        imports.insert(0, "# pyright: reportMissingImports=false\n")
    for source, names in MODULES.items():
        if found := sorted(missing.intersection(names)):
            imports.append(f"from {source} import {', '.join(found)}\n")
    body = f"async def main() -> None:\n{indent(block, '    ')}" if _awaits(block) else block
    return "".join([*imports, "\n", *(given if not _awaits(block) else []),
                    body.replace("main() -> None:\n", f"main() -> None:\n{indent(''.join(given), '    ')}", 1)])


def _used(code: str) -> set[str]:
    tree = compile(code, "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _bound(tree: ast.AST) -> set[str]:
    """The names that an example imports, defines, or assigns before it uses them."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
            if not isinstance(node, ast.ClassDef):
                found |= {argument.arg for argument in node.args.args}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def _awaits(code: str) -> bool:
    """Whether an example awaits outside of a function."""
    tree = compile(code, "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)
    inner = {
        id(node) for function in ast.walk(tree) if isinstance(function, ast.AsyncFunctionDef)
        for part in function.body for node in ast.walk(part)
    }
    awaiting = ast.Await | ast.AsyncWith | ast.AsyncFor
    return any(isinstance(node, awaiting) and id(node) not in inner for node in ast.walk(tree))


def write(directory: Path) -> int:
    """Write all of them; how many there are."""
    directory.mkdir(parents=True, exist_ok=True)
    blocks = dict.fromkeys(BLOCKS + DOCSTRINGS + examples(inspect.getdoc(recipes) or ""))
    for number, block in enumerate(blocks):
        (directory / f"example_{number:02}.py").write_text(module(block), encoding="utf-8")
    return len(blocks)


if __name__ == "__main__":
    print(f"{write(Path(sys.argv[1]))} examples")  # noqa: T201
