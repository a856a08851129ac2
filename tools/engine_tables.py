"""What the pages tell of the shipped engines in figures, out of their judgements: nobody copies them by hand.

    python -m tools.engine_tables          write the tables anew, after a judgement
    python -m tools.engine_tables --check  name the pages that tell something else, and end with 1

A table stands between `<!-- engines: NAME -->` and `<!-- end -->` in a page.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

ROOT = Path(__file__).parents[1]
ENGINES = ROOT / "engines"
PAGES = (ROOT / "README.md", ROOT / "docs" / "engines-judged.md")
PLACE = re.compile(r"(<!-- engines: ([\w-]+) -->\n\n).*?(\n\n<!-- end -->)", re.DOTALL)
BESIDE = "### Beside each peer\n"
Judgement: TypeAlias = dict[str, Any]  # judged.json, and "card": the text of CARD.md


def judgements(home: Path = ENGINES) -> dict[str, Judgement]:
    """By engine, in the order of the alphabet."""
    found: dict[str, Judgement] = {}
    for path in sorted(home.glob("*/judged.json")):
        card = (path.parent / "CARD.md").read_text(encoding="utf-8")
        found[path.parent.name] = {**json.loads(path.read_text(encoding="utf-8")), "card": card}
    return found


# ------------------------------------------------ the tables


def figures(judged: dict[str, Judgement]) -> str:
    """One row for each engine."""
    head = (
        "engine", "PSNR dB: input → engine (best peer)", "gCNR: input → engine (best peer)",
        "d': input → engine (best peer)", "lesion contrast shown, min / median / max", "ghost % (input)",
        "grid %", "INT8 \N{MINUS SIGN} float dB", "ms INT8 / float, 640x480", "safety gates missed",
    )  # fmt: skip
    return _table(head, (_figures_of(name, told) for name, told in judged.items()))


def _figures_of(name: str, told: Judgement) -> list[str]:
    shown = told["lesion_contrast_recovery"]
    return [
        name,
        f"{told['psnr_input_db']:.1f} → {told['psnr_db']:.1f} ({told['best_peer']} {told['psnr_best_peer_db']:.1f})",
        *(f"{told[f'{key}_input']:.2f} → {told[key]:.2f} ({told[f'{key}_best_peer']:.2f})" for key in ("gcnr", "cho")),
        " / ".join(f"{shown[key]:.2f}" for key in ("min", "median", "max")),
        f"{told['ghost_percent']:.1f} ({told['ghost_percent_input']:.1f})",
        f"{told['grid_percent']:.1f}",
        f"{told['int8_minus_fp32_db']:+.2f}",
        f"{told['ms_int8']:.1f} / {told['ms_fp32']:.1f}",
        ", ".join(gate for gate in told["safety_gates"] if not told["gates"][gate]) or "none",
    ]


def missed_targets(judged: dict[str, Judgement]) -> str:
    """What was asked, and which engines miss it by how much."""
    missed: dict[str, list[str]] = {}
    for name, told in judged.items():
        for asked, measured, verdict in _rows(told["card"], columns=3):
            if verdict == "missed":
                missed.setdefault(asked, []).append(f"{_short(name)}: {measured}")
    return _table(("asked", "missed by"), ([asked, "; ".join(by)] for asked, by in missed.items()))


def peers(kind: str, judged: dict[str, Judgement]) -> str:
    """The large engine and each peer, in one run; whoever comes nearest to the truth first."""
    name = f"{kind}-clarity-large"
    card = judged[name]["card"]
    head, *rows = _rows(card[card.index(BESIDE) + len(BESIDE) :], columns=6, first=True)
    rows.sort(key=lambda row: -float(row[1]))
    return _table(head, ([f"**{row[0]}**" if row[0] == name else row[0], *row[1:]] for row in rows))


TABLES: dict[str, Callable[[dict[str, Judgement]], str]] = {
    "figures": figures,
    "missed-targets": missed_targets,
    "ultrasound-peers": lambda judged: peers("ultrasound", judged),
    "fluoroscopy-peers": lambda judged: peers("fluoroscopy", judged),
}


def _short(name: str) -> str:
    return name.replace("-clarity-", " ")


def _rows(text: str, columns: int, *, first: bool = False) -> list[list[str]]:
    """Of all tables with so many columns, or of the first table of a text; rules between head and body left out."""
    found: list[list[str]] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            if first and found:
                break
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == columns and not set("".join(cells)) <= set("-: "):
            found.append(cells)
    return found


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(head)
    return "\n".join(f"| {' | '.join(row)} |" for row in (names, ["---"] * len(names), *rows))


# ------------------------------------------------ the pages


def renewed(page: str, judged: dict[str, Judgement]) -> str:
    """The same page with its tables as they have to be."""
    return PLACE.sub(lambda place: place[1] + TABLES[place[2]](judged) + place[3], page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 where a page is out of date")
    check: bool = parser.parse_args().check
    judged, stale = judgements(), list[str]()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if (now := renewed(text, judged)) != text:
            stale.append(str(page.relative_to(ROOT)))
            if not check:
                page.write_text(now, encoding="utf-8")
    for name in stale:
        print(f"{name}: {'out of date: python -m tools.engine_tables' if check else 'written'}")
    raise SystemExit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
