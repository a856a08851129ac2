"""The page's JavaScript by itself: Node's own checks and tests, and the rules that every file of it keeps."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.console import engine_calls, exam_calls, picture_calls

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "edge/console/page"
SCRIPTS = sorted(PAGE.rglob("*.js"))
STYLES = sorted(PAGE.rglob("*.css"))
TESTS = sorted((Path(__file__).parent / "page").glob("*.test.mjs"))
LONGEST = 300
PARSE = """
const { readFileSync } = require("node:fs");
const { SourceTextModule } = require("node:vm");
for (const file of process.argv.slice(1)) new SourceTextModule(readFileSync(file, "utf8"), { identifier: file });
"""
# What would read data as markup or as a program, or need a looser Content-Security-Policy than the console's.
MARKUP = re.compile(
    r"\b(innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|DOMParser|srcdoc)\b"
    r"|document\.write|\beval\(|new Function|setAttribute\(\"style\"|javascript:"
)
ELSEWHERE = re.compile(r"(https?:)?//[a-z0-9-]+\.[a-z]", re.IGNORECASE)
SAID = re.compile(r"\bsay\(\s*\"([^\"]+)\"")
CHOSEN = re.compile(r"\bsay\([^()\"`]*\? \"([^\"]+)\" : \"([^\"]+)\"")
BUILT = re.compile(r"`([a-z-]+\.)(?:[a-z]+\.)?\$\{|\bsayCode\(\"([^\"]+)\"")
KEY = re.compile(r"^\s+\"([a-zA-Z0-9._'-]+)\": |, \"([a-zA-Z0-9._'-]+)\": \"", re.MULTILINE)


def node() -> str:
    found = shutil.which("node")
    if found is None:
        reason = "node is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def test_every_script_can_be_read_as_a_module() -> None:
    line = [node(), "--experimental-vm-modules", "-e", PARSE, *map(str, SCRIPTS)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr


def test_the_pure_modules_keep_their_promises() -> None:
    assert TESTS
    done = subprocess.run([node(), "--test", *map(str, TESTS)], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_waits_a_little_longer_than_the_console_does() -> None:
    """Or the daemon's own words would never be read; and never for ever."""
    burst = '"capture/burst", {"count": 50, "every_ms": 5000}'
    waits = {
        '"picture"': picture_calls.PATIENCE_S,
        '"capture/still"': picture_calls.CAPTURE_PATIENCE_S,
        burst: picture_calls.CAPTURE_PATIENCE_S + 250,
        '"exam/close"': exam_calls.CLOSE_PATIENCE_S,
        '"exam/discard"': exam_calls.CLOSE_PATIENCE_S,
        '"exam/correct"': exam_calls.CORRECTION_PATIENCE_S,
        '"worklist"': exam_calls.WORKLIST_PATIENCE_S,
        '"engines/activate"': engine_calls.VERIFY_PATIENCE_S,
        '"captures"': picture_calls.PATIENCE_S,
    }
    told = ", ".join(f"patienceMs({words})" for words in waits)
    script = f"import({str(PAGE / 'js/patience.js')!r}).then(({{patienceMs}}) => console.log(JSON.stringify([{told}])))"
    done = subprocess.run([node(), "-e", script], capture_output=True, text=True, timeout=50, check=True)
    for words, page_ms in zip(waits, json.loads(done.stdout), strict=True):
        assert waits[words] < page_ms / 1000 < 1.3 * waits[words] + 30, words


@pytest.mark.parametrize("file", [*SCRIPTS, *STYLES], ids=lambda path: str(path.relative_to(PAGE)))
def test_files_are_small_and_read_no_data_as_markup(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST
    assert not (found := MARKUP.search(text)), found
    from_elsewhere = [one.group() for one in ELSEWHERE.finditer(text.replace("http://www.w3.org/2000/svg", ""))]
    assert not from_elsewhere


def test_the_index_has_nothing_inline_and_nothing_from_elsewhere() -> None:
    text = (PAGE / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"\son\w+=|\sstyle=|<style|<script(?![^>]*\ssrc=)", text)
    assert not ELSEWHERE.search(text)
    for name in re.findall(r"(?:src|href)=\"/page/([^\"]+)\"", text):
        assert (PAGE / name).is_file(), name


def test_every_text_that_is_said_is_there_and_every_text_that_is_there_is_said() -> None:
    words = (PAGE / "js/words.js").read_text(encoding="utf-8")
    keys = {one or other for one, other in KEY.findall(words)}
    code = "\n".join(script.read_text(encoding="utf-8") for script in SCRIPTS if script.name != "words.js")
    said = set(SAID.findall(code)) | {key for pair in CHOSEN.findall(code) for key in pair}
    forms = {re.sub(r"\.(one|other)$", "", key) for key in keys}
    missing = {key for key in said if key not in forms}
    assert not missing
    prefixes = tuple({next(filter(None, found)).rstrip(".") + "." for found in BUILT.findall(code)})
    unused = {key for key in forms if key not in said and not key.startswith(prefixes) and f'"{key}"' not in code}
    assert not unused


def test_both_forms_of_a_count_are_there() -> None:
    words = (PAGE / "js/words.js").read_text(encoding="utf-8")
    keys = {one or other for one, other in KEY.findall(words)}
    for key in keys:
        if key.endswith(".one"):
            assert key.removesuffix(".one") + ".other" in keys
