"""Checks the source: whatever another package imports has a docstring."""

import ast

import pytest

from tests.test_architecture import ALLOWED, ROOT

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

MODULES = {
    f"{package}.{file.stem}".removesuffix(".__init__"): ast.parse(file.read_text(encoding="utf-8"))
    for package in ("exchange", *ALLOWED)
    for file in sorted((ROOT / package.replace(".", "/")).glob("*.py"))
}
CLASSES = {node.name: node for tree in MODULES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def package_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def imported_names() -> set[tuple[str, str]]:
    """Module and name of everything that a module of another package imports or reads from an imported module."""
    found: set[tuple[str, str]] = set()
    for importer, tree in MODULES.items():
        imported: set[tuple[str, str]] = set()
        modules: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                imported |= {(node.module, alias.name) for alias in node.names}
                modules |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        imported |= {
            (modules[node.value.id], node.attr)
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
        }
        found |= {(module, name) for module, name in imported if package_of(module) != package_of(importer)}
    return {(module, name) for module, name in found if module in MODULES}


def bases_of(node: ast.ClassDef) -> list[ast.ClassDef]:
    """The classes of the project that `node` derives from, directly or not."""
    direct = [CLASSES[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in CLASSES]
    return direct + [base for parent in direct for base in bases_of(parent)]


def public_methods(node: ast.ClassDef) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The methods that `node` adds to those of its bases."""
    inherited = {method.name for base in bases_of(node) for method in base.body if isinstance(method, Definition)}
    functions = [method for method in node.body if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [method for method in functions if not method.name.startswith("_") and method.name not in inherited]


def undocumented(node: Definition) -> list[str]:
    """The names of `node` and of its public methods that lack a docstring."""
    parts = [node, *(public_methods(node) if isinstance(node, ast.ClassDef) else [])]
    return [part.name for part in parts if not ast.get_docstring(part)]


@pytest.mark.slow
def test_whatever_another_package_imports_has_a_docstring() -> None:
    found = {
        f"{module}.{name}": missing
        for module, name in sorted(imported_names())
        for node in MODULES[module].body
        if isinstance(node, Definition) and node.name == name and (missing := undocumented(node))
    }
    assert found == {}


def test_a_missing_docstring_is_found() -> None:
    source = 'class Reader:\n    """Reads."""\n    def head(self): ...\n    def _open(self): ...\n'
    (reader,) = ast.parse(source).body
    assert isinstance(reader, ast.ClassDef)
    assert undocumented(reader) == ["head"]
