"""Which machine a version is for."""

from __future__ import annotations

import pytest

from edge.errors import ConfigError
from edge.update.target import Target, of_files, of_wheels, this_machine

HERE = Target("3.11", "x86_64")


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (Target(), ""),
        (Target("3.11", "x86_64"), ""),
        (Target("3.12"), "it is for Python 3.12; here is 3.11"),
        (Target("any", "aarch64"), "it is for aarch64 machines; this one is x86_64"),
    ],
)
def test_why_a_version_is_not_for_this_machine(target: Target, why: str) -> None:
    assert target.why_not(HERE) == why


def test_wheels_say_it_by_their_names() -> None:
    names = [
        "limpid_edge-0.2.0-py3-none-any.whl",
        "numpy-2.1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "cryptography-42.0-cp39-abi3-manylinux_2_28_x86_64.whl",
    ]
    assert of_wheels(names) == HERE
    assert of_wheels(names[:1]) == Target()
    assert of_wheels(names[::2]) == Target("any", "x86_64")


@pytest.mark.parametrize(
    "names",
    [
        ["a-1-cp311-cp311-linux_x86_64.whl", "b-1-cp312-cp312-linux_x86_64.whl"],
        ["a-1-cp311-cp311-linux_x86_64.whl", "b-1-cp311-cp311-linux_aarch64.whl"],
        ["a-1-cp311-cp311-win_amd64.whl"],
        ["a.whl"],
    ],
)
def test_wheels_that_fit_no_one_machine_are_refused(names: list[str]) -> None:
    with pytest.raises(ConfigError):
        of_wheels(names)


def test_a_tree_says_it_by_its_modules() -> None:
    assert of_files(["a.py", "b/c.cpython-311-x86_64-linux-gnu.so"]) == HERE
    assert of_files(["a.py"]) == Target()
    with pytest.raises(ConfigError):
        of_files(["a.cpython-311-x86_64-linux-gnu.so", "b.cpython-311-aarch64-linux-gnu.so"])


def test_this_machine_is_one() -> None:
    assert this_machine().python.startswith("3.")
    assert this_machine().why_not(this_machine()) == ""
