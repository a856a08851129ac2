"""Pages a clinician can read: what was asked, what was found, and the pictures at full size. Self-contained files."""

from __future__ import annotations

import html
import math
from pathlib import Path

from calibration.judging import general, real, tables
from calibration.judging.clips import Clip, Field, Floats
from calibration.judging.contestants import Contestant
from calibration.judging.drawing import ENHANCED, as_grey, curves, save, side_by_side
from calibration.judging.figures import Comparison, Detection, Judged
from calibration.judging.gates import GATES, TARGETS
from calibration.judging.plan import Plan
from calibration.judging.tables import Table, number
from edge.frame import Pixels

_SCENES = 4  # phantom scenes in the pictures
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:.6rem 0 1.6rem}
td,th{border-bottom:1px solid #ddd;padding:.25rem .7rem;text-align:left}
.met{color:#0b6e4f}.missed{color:#b3261e;font-weight:600}
figure{margin:1rem 0;overflow-x:auto}img{image-rendering:pixelated}
svg{max-width:44rem;display:block}figcaption,.small{color:#555;font-size:13px}
"""
_WORDS = """<p>Engines make live pictures calmer. This report says what they do to pictures, measured on simulated
patients (phantoms) whose true anatomy is known, and shows what they do to real ones, where nothing is known for
certain. It says nothing about any diagnosis. Enhanced pictures are labelled ENHANCED everywhere; the original is
always kept.</p><p>A <b>safety gate</b> that is missed keeps an engine from being used at all. A <b>target</b> that is
missed is said here.</p>"""
_FINDING = """<p>A model reader looks for weak round lesions. A d' of 1 is hardly seen, 2 is mostly seen, 3 is plain.
The lead is this engine's over the unprocessed picture, with its 95 % interval.</p>"""
_CONTRAST = "<p>Contrast shown against true contrast: 1 is kept, 0 erased, above 1 exaggerated.</p>"


def write(folder: Path, judged: list[Judged], pages: dict[str, str]) -> None:
    """The index, and a page for each engine."""
    folder.mkdir(parents=True, exist_ok=True)
    body = _WORDS + _index(judged)
    if any(one.quick for one in judged):
        body += "<p class=small>A quick run, on few scenes: it finds broken engines and vouches for none.</p>"
    (folder / "index.html").write_text(_page("What the engines do to pictures", body), encoding="utf-8")
    for one in judged:
        (folder / f"{one.engine}.html").write_text(
            _page(one.engine, _engine(one) + pages[one.engine]), encoding="utf-8"
        )


def pictures(folder: Path, judged: Judged, contestants: Field, who: Contestant, plan: Plan) -> str:
    """Phantom scenes at full size, original beside enhanced beside truth beside the best peer; the page's part."""
    best, _ = judged.measures["psnr_db"].best_peer()
    shown = [each for each in contestants.contestants if each.role == "input" or each is who or each.name == best]
    parts = ["<h2>Simulated patients</h2>"]
    for number_, clip in enumerate(general.clips(judged.kind, plan)):
        if number_ == _SCENES:
            break
        results = {each.key: found[-1] for each, found in Field(shown, contestants.enlarges).show(clip)}
        path = folder / "pictures" / judged.engine / f"scene_{number_}.png"
        save(path, side_by_side(_panels(judged, clip, results, best)))
        parts.append(_figure(folder, path, ", ".join(clip.strata)))
    return "\n".join(parts)


def _panels(judged: Judged, clip: Clip, results: dict[str, Floats], best: str) -> list[tuple[str, Pixels]]:
    panels: list[tuple[str, Pixels]] = [
        ("ORIGINAL", as_grey(results["input"])),
        (f"{ENHANCED} by {judged.engine}", as_grey(results[judged.engine])),
        ("TRUTH (known, as it is simulated)", as_grey(clip.truths[-1])),
    ]
    if best in results:
        panels.append((f"{best}, the best classical filter", as_grey(results[best])))
    return panels


def real_pictures(folder: Path, judged: Judged, contestants: Field, who: Contestant, data: Path) -> str:
    """Every real frame at full size, and what is known of them; sets the figures."""
    place = folder / "pictures" / judged.engine / "real"
    judged.real = real.look(contestants, who, judged.kind, data, place)
    if judged.real is None:
        return "<h2>Real frames</h2><p>None were at hand.</p>"
    words = f"<p>{html.escape(tables.real(judged))}</p>"
    figures = [_figure(folder, path, path.stem) for path in sorted(place.glob("*.png"))]
    return "\n".join(["<h2>Real frames</h2>", words, *figures])


def _figure(folder: Path, path: Path, words: str) -> str:
    source = html.escape(path.relative_to(folder).as_posix())
    return (
        f'<figure><img src="{source}" loading="lazy" alt="{html.escape(words)}">'
        f"<figcaption>{html.escape(words)}</figcaption></figure>"
    )


def _index(judged: list[Judged]) -> str:
    rows: list[list[str]] = []
    for one in judged:
        unsafe = [name for name, met in one.gates.items() if not met]
        worst = one.strata.get(one.worst_stratum)
        rows.append(
            [
                one.engine,
                one.kind,
                f"missed: {', '.join(unsafe)}" if unsafe else "met",
                ", ".join(one.targets_missed) or "none",
                f"{one.measures['psnr_db'].over_input:+.2f}",
                number(one.ms(one.engine), 1),
                f"{one.worst_stratum} ({worst.gain_db:+.2f} dB)" if worst else "-",
            ]
        )
    head = ["engine", "for", "safety gates", "targets missed", "PSNR gain, dB", "ms a frame", "least gained at"]
    links = ", ".join(f'<a href="{one.engine}.html">{one.engine}</a>' for one in judged)
    return f"{_table(Table(head, rows))}<p>Each in full: {links}.</p>"


def _engine(one: Judged) -> str:
    notes = "".join(f"<p class=small>{html.escape(note)}</p>" for note in one.notes)
    worst = f"<p>Least is gained at: {html.escape(one.worst_stratum)}.</p>" if one.worst_stratum else ""
    sections = {
        "Safety gates": _table(tables.verdicts(GATES, one, one.gates)),
        "Targets": _table(tables.verdicts(TARGETS, one, one.targets)),
        "Figures": _table(tables.figures(one)),
        "Beside each peer": _table(tables.peers(one)),
        "Beside each peer, held to the gate of lesions": _table(tables.held(one)),
        "Finding weak lesions": _FINDING + _finding(one) + _table(tables.detections(one)),
        "Contrast of lesions": _CONTRAST + _table(tables.recoveries(one)) + f"<p>{tables.invented(one)}</p>",
        "By kind of scene": worst + _table(tables.strata(one)),
        "Time": _table(tables.times(one)),
    }
    body = "\n".join(f"<h2>{title}</h2>{section}" for title, section in sections.items())
    return f'<p><a href="index.html">All engines</a></p>{notes}{body}'


def _finding(one: Judged) -> str:
    """One drawing for each condition: how d' goes with size, for everyone."""
    drawn: list[str] = []
    for condition in dict.fromkeys(row.condition for row in one.detections):
        rows = [row for row in one.detections if row.condition == condition]
        lines = {"unprocessed": _line(rows, "unprocessed")}
        if rows[0].lead_over_input is not None:
            lines = {name: _line(rows, name) for name in ("this engine", "unprocessed", *rows[0].d_prime.peers)}
            full = [row for row in one.detections if row.dose == 1.0 != rows[0].dose and row.moves == rows[0].moves]
            lines |= {"unprocessed, full dose": _line(full, "unprocessed")} if full else {}
        drawn.append(curves(f"Detectability, patient {condition}", "radius of the lesion, mm", "d'", lines))
    return "\n".join(drawn)


def _line(rows: list[Detection], name: str) -> list[tuple[float, float]]:
    return [(row.radius_mm, _of(row.d_prime, name)) for row in rows]


def _of(comparison: Comparison, name: str) -> float:
    ours = {"this engine": comparison.engine, "unprocessed": comparison.input}
    value = ours[name] if name in ours else comparison.peers.get(name)
    return math.nan if value is None else value


def _table(table: Table) -> str:
    if not table.rows:
        return "<p>Nothing was measured.</p>"
    lines = ["".join(f"<th>{html.escape(cell)}</th>" for cell in table.head)]
    lines += ["".join(f"<td{_class(cell)}>{html.escape(cell)}</td>" for cell in row) for row in table.rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _class(cell: str) -> str:
    return f" class={cell.split(':')[0]}" if cell.split(":")[0] in ("met", "missed") else ""


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{html.escape(title)}</h1>\n{body}</html>\n"
    )
