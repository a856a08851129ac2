"""What an engine's folder says of it: judged.json for machines, CARD.md for people, [judged] in its manifest.

Everything is written anew from the figures; run twice on the same figures the files are the same. What is not known
(how it was trained, where no training.json lies) is said to be unknown.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import msgspec

from calibration.judging import tables
from calibration.judging.contestants import kind_of
from calibration.judging.figures import VERSION, Judged, for_machines
from calibration.judging.gates import GATES, TARGETS, shortfalls
from calibration.judging.tables import Table
from edge.catalog import Engine, Manifest, parse_manifest, read_engine
from edge.errors import EngineRefused
from engines.folder import MANIFEST, write_files

MARK = "# judged"
JUDGEMENT = re.compile(rf"^(?:{MARK}|\[judged[.\]])", re.MULTILINE)  # other writers' manifests have no mark
WHO = f"calibration.judge {VERSION}"
_USE = {
    "ultrasound": "Calmer speckle and noise on a live B-mode picture, for display beside the original.",
    "fluoroscopy": "Less quantum noise on live low-dose fluoroscopy, for display beside the original.",
    "superres": "Small pictures of handheld devices at twice their sides, for display.",
}
_NOT_FOR = (
    "Not for measuring, not for diagnosis, and never the only record: the original is kept, is one key away, and every "
    "picture that was changed is labelled ENHANCED."
)

_HELD = (
    "Each peer mixed with the picture as it came, at the largest strength at which plain lesions keep nine tenths of "
    "their contrast: on the judge's own lesions, which is kinder to it than any tuning.\n\n"
)


def write(judged: Judged, folder: Path) -> None:
    """All three files of one engine. Raises EngineRefused, and writes none, where its manifest would suffer."""
    engine = read_engine(folder)
    path = folder / MANIFEST
    if (judged.engine, judged.sha256) != (engine.manifest.name, engine.manifest.sha256):
        raise EngineRefused(f"{path}: this judgement is of {judged.engine} {judged.sha256[:12]}, not of what lies here")
    manifest = with_judgement(path.read_text(encoding="utf-8"), judged)
    _check_kept(parse_manifest(manifest, path), engine.manifest, path)
    figures = msgspec.json.format(msgspec.json.encode({"judge": VERSION} | for_machines(judged)), indent=1)
    files = {"judged.json": figures + b"\n", "CARD.md": card(judged, engine).encode(), MANIFEST: manifest.encode()}
    write_files(folder, files)


# ------------------------------------------------ the manifest


def with_judgement(text: str, judged: Judged) -> str:
    """A manifest's text with this judgement in place of an earlier one."""
    kept = JUDGEMENT.split(text, maxsplit=1)[0].rstrip()
    lines = [
        f"{MARK} (written by `python -m calibration.judge --write`; the figures are told in CARD.md)",
        "[judged]",
        f'sha256 = "{judged.sha256}"',
        f'judge = "{WHO}"',
        f"full = {_toml(not judged.quick)}",
    ]
    parts: dict[str, dict[str, Any]] = {
        "gates": judged.gates,
        "targets": judged.targets,
        "missed": shortfalls(judged),
        "figures": _key_figures(judged),
    }
    for name, table in parts.items():
        if table:
            lines += ["", f"[judged.{name}]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
    return "\n".join([kept, "", *lines, ""])


def _check_kept(new: Manifest, old: Manifest, path: Path) -> None:
    """But for the judgement the manifest says what it said."""
    if msgspec.structs.replace(new, judged=None) != msgspec.structs.replace(old, judged=None):
        raise EngineRefused(f"{path}: something stands behind [judged]: put [judged] and its tables last")


def _toml(value: bool | float | str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False)


def _key_figures(judged: Judged) -> dict[str, float]:
    low, middle, high = judged.recovery
    found: dict[str, float] = {}
    for name, comparison in judged.measures.items():
        found[name] = comparison.engine
        if comparison.input is not None:
            found[f"{name}_input"] = comparison.input
    found |= {
        "drift_db": judged.drift_db,
        "invented_per_1000": judged.invented.per_1000,
        "recovery_min": low, "recovery_median": middle, "recovery_max": high,
        "ms_int8": judged.ms(judged.engine), "ms_fp32": judged.ms(judged.float_key),
    }  # fmt: skip
    return {name: round(float(value), 4) for name, value in found.items() if math.isfinite(value)}


# ------------------------------------------------ the card


def card(judged: Judged, engine: Engine) -> str:
    manifest, held = engine.manifest, tables.held(judged)
    sections = [
        f"# {manifest.name}",
        f"{manifest.task}.",
        "## Intended use\n\n" + _USE[kind_of(engine)] + " " + _NOT_FOR,
        "## What it is\n\n" + _facts(engine),
        "## How it was trained\n\n" + _training(engine.folder / "training.json"),
        "## How it was made INT8\n\n" + _calibration(engine.folder / "calibration.json"),
        "## What the judge found\n\n" + _how(judged),
        "### Safety gates\n\n" + _table(tables.verdicts(GATES, judged, judged.gates)),
        "### Targets\n\n" + _table(tables.verdicts(TARGETS, judged, judged.targets)),
        "### Figures\n\n" + _table(tables.figures(judged)),
        "### Beside each peer\n\n" + _table(tables.peers(judged)),
        *(["### Beside each peer, held to the same gate\n\n" + _HELD + _table(held)] if held.rows else []),
        "### Finding weak lesions\n\n" + _table(tables.detections(judged)),
        "### Contrast of lesions\n\n" + _table(tables.recoveries(judged)) + "\n\n" + tables.invented(judged),
        "### By kind of scene\n\n" + _table(tables.strata(judged)) + _worst(judged),
        "### Time\n\n" + _timed(judged) + _table(tables.times(judged)),
        "### Real frames\n\n" + tables.real(judged),
        "## Known limits\n\n" + _limits(judged, manifest.limits),
        f"## Licence\n\n{manifest.licence}",
    ]
    return "\n\n".join(sections) + "\n"


def _table(table: Table) -> str:
    if not table.rows:
        return "Nothing was measured."
    lines = [table.head, ["---"] * len(table.head), *table.rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _facts(engine: Engine) -> str:
    manifest = engine.manifest
    states = ", ".join(f"`{state.name}` {list(state.shape)}" for state in manifest.state) or "none"
    sides = "[1, 1, h, w]" if manifest.scale == 1 else "[1, 1, 2h, 2w]"
    rows = [
        ["family, size, version", f"{manifest.family}, {manifest.size}, {manifest.version}"],
        ["modality", ", ".join(manifest.modalities)],
        ["inputs", "`frame` [1, 1, h, w], `full_scale`, `strength`, and each state's `_in`"],
        ["outputs", f"`enhanced` {sides}, and each state's `_out`"],
        ["recurrent state", states],
        ["precision", manifest.precision],
        ["file", f"`{manifest.model}`, {engine.model_path.stat().st_size / 1000:.0f} kB"],
        ["sha256", f"`{manifest.sha256}`"],
        ["float twin", f"`{manifest.fp32}`, `{manifest.fp32_sha256}`" if manifest.fp32 else "none"],
        ["arithmetic", f"{manifest.kmac_per_px:.2f} kMAC a pixel"],
    ]
    return _table(Table(["", ""], rows))


def _read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _training(path: Path) -> str:
    told = _read(path)
    if told is None:
        return "Not known: there is no training.json in this folder."
    names = {
        "data": "data", "seeds": "seeds (first, last)", "clips": "clips", "steps": "steps", "minutes": "minutes",
        "device": "on", "torch": "torch", "parameters": "parameters",
        "kept_aside_psnr_db": "PSNR on clips kept aside, dB",
    }  # fmt: skip
    rows = [[words, _plain(told[key])] for key, words in names.items() if key in told]
    runs = (", ".join(f"{key} {value}" for key, value in run.items()) for run in told.get("before", []))
    rows.extend(["trained before that", run] for run in runs)
    recipe = told.get("recipe")
    if isinstance(recipe, dict):
        rows.append(["recipe", ", ".join(f"{key} {value}" for key, value in recipe.items())])
    return _table(Table(["", ""], rows))


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items())
    return " to ".join(str(part) for part in value) if isinstance(value, list) else str(value)


def _calibration(path: Path) -> str:
    told = _read(path)
    if told is None:
        return "Not known: there is no calibration.json in this folder."
    names = {
        "float_psnr_db": "float, dB", "after_ranges_psnr_db": "INT8 with fitted ranges alone, dB",
        "after_tuning_psnr_db": "INT8 after the quantisation-aware run, dB", "steps": "steps of that run",
        "minutes": "minutes", "trimmed": "trimmed afterwards, without training, by",
        "redrawn": "drawn anew afterwards with the same weights and ranges, with",
    }  # fmt: skip
    rows = [[words, _plain(told[key])] for key, words in names.items() if key in told]
    if "veil" in told:
        veil = told["veil"]
        learnt = f"{veil['scenes']} whole pictures, {veil['minutes']:g} minutes, {veil['steps']} steps"
        aside = (
            f"{veil['gain_db_on_scenes_kept_aside']:+g} dB, {100 * veil['of_discs_lost']:.1f} % of discs goes with it"
        )
        rows.append(["what lies over a picture, learnt from", learnt])
        rows.append(["on pictures kept aside it gained", aside])
    if "frames" in told:
        rows.append(["calibration set", f"{len(told['frames'])} frames, listed by hash in calibration.json"])
    return _table(Table(["", ""], rows))


def _how(judged: Judged) -> str:
    run = "a quick run, on few scenes" if judged.quick else "a full run"
    words = f"By {WHO}, {run}, on phantoms whose seeds neither training nor tuning has seen."
    return "\n".join([words, *(f"- {note}" for note in judged.notes)])


def _worst(judged: Judged) -> str:
    return f"\n\nLeast is gained at: {judged.worst_stratum}." if judged.worst_stratum else ""


def _timed(judged: Judged) -> str:
    size = "320x240 to 640x480" if judged.kind == "superres" else "640x480"
    return f"One run at {size}, in turn, two threads, on {judged.processor or 'a processor that was not told'}.\n\n"


def _limits(judged: Judged, limits: str) -> str:
    missed = shortfalls(judged)
    unsafe = [rule.words for rule in GATES if not judged.gates.get(rule.name, True)]
    lines = [limits, *(f"- Safety gate missed: {words}." for words in unsafe)]
    lines += [f"- Target missed: {words}." for words in missed.values()]
    lines.append("- Judged on phantoms: real patients, probes and detectors differ from them.")
    return "\n".join(lines)
