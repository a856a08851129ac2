"""Which names of TensorRT's API the code uses, read from its source. Not a test itself."""

from __future__ import annotations

import ast
from pathlib import Path

BACKENDS = Path(__file__).parents[1] / "edge" / "backends"
FILES = ("_trt_releases.py", "_trt_network.py", "_trt_gpu.py")
# Variables and attributes of that code that hold an object of TensorRT's.
HOLDERS = {
    "trt", "builder", "network", "_parser", "config", "profile", "layer", "tensor", "source", "constant", "user",
    "_runtime", "_engine", "_context", "engine", "context", "severity", "IProgressMonitor", "ILogger",
}  # fmt: skip
# A numpy array's, a string's, and the attributes of our own objects by which such an object is reached.
OTHERS = {"any", "strip", "lower", "__class__", "__init__", "__version__"}
CALLBACKS = {"log", "phase_start", "step_complete", "phase_finish"}  # methods that the library calls by name


def used_names() -> set[str]:
    found: set[str] = set()
    for file in FILES:
        tree = ast.parse((BACKENDS / file).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and _is_held(node.value):
                found.add(node.attr)
            if isinstance(node, ast.FunctionDef) and node.name in CALLBACKS:
                found.add(node.name)
            if isinstance(node, ast.Compare):  # layer.type.name == "CONVOLUTION", tensor.dtype.name == "INT8"
                found |= _compared(node)
    return found - OTHERS


def _is_held(value: ast.expr) -> bool:
    """Does this expression begin at one of the holders?"""
    while isinstance(value, ast.Attribute | ast.Call | ast.Subscript):
        if isinstance(value, ast.Attribute) and value.attr in HOLDERS:
            return True
        value = value.func if isinstance(value, ast.Call) else value.value
    return isinstance(value, ast.Name) and value.id in HOLDERS


def _compared(node: ast.Compare) -> set[str]:
    left = node.left
    if not (isinstance(left, ast.Attribute) and left.attr == "name" and _is_held(left.value)):
        return set()
    return {
        constant.value
        for side in node.comparators
        for constant in ast.walk(side)
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
    }


def names_in(binary: bytes, names: set[str]) -> set[str]:
    """Those that end where a string of it ends. Before them there may be more: linkers keep `type` as the end of
    `get_layer_type` where they can."""
    return {name for name in names if name.encode() + b"\0" in binary}
