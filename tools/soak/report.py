"""The sums and the verdicts of a soak, as JSON, Markdown and pictures. Pure but for the writing."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge.commands.demo import badge
from edge.errors import LimpidError
from edge.frame import Pixels
from edge.wire import Report
from tools.soak.button import Press
from tools.soak.eye import percentiles

if TYPE_CHECKING:
    from tools.soak.__main__ import Soak

FLAT_MB, FLAT_PART = 12.0, 0.04  # what a process may grow over the measured time, whichever is more
FLAT_DESCRIPTORS = 4
LEAST_HOURS = 0.25  # for a trend to say anything
OURS = ("live", "forward", "console", "darkroom", "supervisor")


def not_in_archive(presses: list[Press], held: list[str]) -> list[str]:
    there = set(held)
    return [uid for press in presses for uid in press.objects if uid not in there]


def minute(at_s: float, said: dict[str, Any], heat: dict[str, Any], before: list[dict[str, Any]]) -> dict[str, Any]:
    """The latencies of this minute alone, from what was counted until now and until the one before."""
    bins: dict[str, int] = said.get("bins", {})
    earlier: dict[str, int] = before[-1]["_bins"] if before else {}
    fresh = {number: count - earlier.get(number, 0) for number, count in bins.items()}
    for one in before:
        one["_bins"] = {}
    return {
        "at_s": round(at_s, 1), "received": said.get("received", 0),
        "latency_ms": percentiles({number: count for number, count in fresh.items() if count > 0}),
        "step": heat.get("step"), "celsius": heat.get("celsius"), "_bins": bins,
    }  # fmt: skip


def facts_of(soak: Soak) -> dict[str, Any]:
    said = dict(soak.house.subscriber.said)
    bins = said.pop("bins", {})
    frames = _frames(soak, said)
    facts: dict[str, Any] = {
        "seconds": round(min(soak.at_s, soak.plan.seconds), 1), "asked_seconds": soak.plan.seconds,
        "ended": soak.ended, "frames": frames, "subscriber": said,
        "latency_ms": {**percentiles(bins), "max": said.get("max_ms")},
        "captures": _captures(soak), "archive": {"kind": soak.house.archive.kind, "away": soak.away},
        "heat": _heat(soak), "processes": soak.gauge.trends(soak.plan.warm_up_s),
        "restarts": soak.log.of("process.ended") + soak.log.of("watchdog.restart"),
        "events": dict(soak.log.counts.most_common()), "said_otherwise": dict(soak.log.unread),
        "metrics": {"scraped": soak.scraped, "failed": soak.unscraped}, "troubles": soak.troubles,
        "minutes": [{key: value for key, value in one.items() if key != "_bins"} for one in soak.minutes],
    }  # fmt: skip
    facts["verdicts"] = verdicts(facts)
    facts["good"] = soak.ended and all(verdict["good"] is not False for verdict in facts["verdicts"])
    return facts


def _frames(soak: Soak, said: dict[str, Any]) -> dict[str, Any]:
    """Three counts of the same frames: the scanner's (once it has ended), the daemon's, the subscriber's.

    A publisher never waits: what a subscriber was too slow for it has shown all the same, and that is `not_fetched`.
    """
    daemon = _daemon(soak)
    sent, received = soak.house.sent.get("sent"), said.get("received", 0)
    facts: dict[str, Any] = {
        "sent": sent, "not_taken": soak.house.sent.get("refused"), "in": daemon["in"], "received": received,
        "enhanced": sum(said.get("enhanced", {}).values()), "enhanced_by_engine": said.get("enhanced", {}),
        "original": sum(said.get("original", {}).values()), "original_by_reason": said.get("original", {}),
        "dropped": sum(daemon["dropped"].values()), "dropped_by_reason": daemon["dropped"],
        "not_fetched": daemon["shown"] - received if sent is not None else None, "unaccounted": None,
    }  # fmt: skip
    if sent is not None:
        before = sent - daemon["in"]
        within = daemon["in"] - daemon["shown"] - facts["dropped"]
        facts["unaccounted"] = abs(before) + abs(within) + max(0, -facts["not_fetched"])
    return facts


def _daemon(soak: Soak) -> dict[str, Any]:
    """The counts of all its streams, those that are gone included."""
    counts = [stream["frames"] for stream in soak.status.get("streams", {}).values()]
    counts += [soak.status["past_streams"]] if soak.status.get("past_streams") else []
    dropped: Counter[str] = Counter()
    for one in counts:
        dropped.update(one["dropped"])
    shown = sum(sum(one[what].values()) for one in counts for what in ("enhanced", "original"))
    return {"in": sum(one["in"] for one in counts), "shown": shown, "dropped": dict(dropped)}


def _captures(soak: Soak) -> dict[str, Any]:
    presses, held = soak.button.presses, None
    if soak.house.archive.is_up:
        try:
            held = soak.house.archive.objects()
        except LimpidError:
            held = None
    acknowledged = soak.button.acknowledged
    objects = [uid for press in acknowledged for uid in press.objects]
    counts = Counter(held or [])
    return {
        "pressed": len(presses), "acknowledged": len(acknowledged),
        "refused": [press.as_dict() for press in presses if press.refused],
        "unanswered": len(soak.button.unanswered), "objects": len(objects),
        "in_archive_once": sum(counts[uid] == 1 for uid in objects) if held is not None else None,
        "in_archive_more_than_once": sum(counts[uid] > 1 for uid in objects) if held is not None else None,
        "not_in_archive": len(not_in_archive(acknowledged, held)) if held is not None else None,
        "strangers_in_archive": len(set(counts) - set(objects)) if held is not None else None,
        "acknowledged_ms": {
            kind: sorted(one.acknowledged_ms for one in acknowledged if one.kind == kind and one.acknowledged_ms)
            for kind in ("still", "back", "clip")
        },
        "by_step": dict(Counter(press.step for press in acknowledged)),
    }  # fmt: skip


def _heat(soak: Soak) -> dict[str, Any]:
    changes = soak.log.of("heat.changed")
    gaps = [round(b["at_s"] - a["at_s"], 1) for a, b in itertools.pairwise(changes)]
    order = ("normal", "warm", "hot", "critical")
    up = [b["at_s"] - a["at_s"] for a, b in itertools.pairwise(changes) if _is_up(b, order)]
    return {
        "changes": changes, "shortest_gap_s": min(gaps, default=None),
        "shortest_before_a_step_up_s": round(min(up), 1) if up else None,
        "now": soak.status.get("health", {}).get("heat", {}),
    }  # fmt: skip


def _is_up(change: dict[str, Any], order: tuple[str, ...]) -> bool:
    return order.index(change["step"]) < order.index(change["before"])


# ---------------------------------------------------------------- verdicts


def _acknowledged(captures: dict[str, Any], *, ended: bool) -> bool | None:
    """While it runs, a press may still wait for its answer: that is no verdict yet."""
    if captures["refused"]:
        return False
    return not captures["unanswered"] if ended else None


def verdicts(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Each a line; `good` is None where it cannot be said (yet)."""
    frames, captures, seen = facts["frames"], facts["captures"], facts["subscriber"]
    unaccounted = frames["unaccounted"]
    lost = captures["not_in_archive"] if facts["ended"] else None
    return [
        _verdict("every frame is accounted for", None if unaccounted is None else unaccounted == 0,
                 f"{unaccounted} unaccounted of {frames['sent']}"),
        _verdict("the subscriber fetched every picture", None if frames["not_fetched"] is None
                 else frames["not_fetched"] == 0, f"{frames['not_fetched']} not fetched"),
        _verdict("no picture came twice or out of order", seen.get("twice", 0) + seen.get("out_of_order", 0) == 0,
                 f"{seen.get('twice', 0)} twice, {seen.get('out_of_order', 0)} out of order"),
        _verdict("every capture was acknowledged", _acknowledged(captures, ended=facts["ended"]),
                 f"{captures['acknowledged']} of {captures['pressed']}"),
        _verdict("every acknowledged object is in the archive, once", None if lost is None else lost == 0
                 and not captures["in_archive_more_than_once"] and not captures["strangers_in_archive"],
                 f"{captures['in_archive_once']} of {captures['objects']}"),
        _verdict("no process was restarted", not facts["restarts"], f"{len(facts['restarts'])} ended"),
        *_heat_verdicts(facts),
        *(_flat(name, trend) for name, trend in facts["processes"].items() if name in OURS),
    ]  # fmt: skip


def _heat_verdicts(facts: dict[str, Any]) -> list[dict[str, Any]]:
    heat = facts["heat"]
    shortest = heat["shortest_before_a_step_up_s"]
    went = [change["step"] for change in heat["changes"]]
    return [
        _verdict("heat was acted on", "warm" in went or "hot" in went or None, f"{len(went)} changes"),
        _verdict("no step up within a minute of the change before", shortest is None or shortest >= 59.5,
                 "no step up" if shortest is None else f"the shortest took {shortest:g} s"),
    ]  # fmt: skip


def _flat(name: str, trend: dict[str, Any]) -> dict[str, Any]:
    hours, grown = trend["measured_hours"], trend["rss_mb_per_hour"] * trend["measured_hours"]
    files = trend["descriptors_per_hour"] * hours
    allowed = max(FLAT_MB, FLAT_PART * trend["rss_mb"]["last"])
    good = grown <= allowed and files <= FLAT_DESCRIPTORS if hours >= LEAST_HOURS else None
    what = f"{trend['rss_mb_per_hour']:+g} MB and {trend['descriptors_per_hour']:+g} descriptors an hour"
    return _verdict(f"{name} stays flat", good, f"{what} over {hours:.2f} h")


def _verdict(what: str, good: bool | None, figures: str) -> dict[str, Any]:
    return {"what": what, "good": good, "figures": figures}


# ---------------------------------------------------------------- writing


def write(folder: Path, facts: dict[str, Any]) -> None:
    for name, text in (("soak.json", json.dumps(facts, indent=1)), ("soak.md", markdown(facts))):
        part = folder / f"{name}.part"
        part.write_text(text)
        part.replace(folder / name)


def write_picture(path: Path, report: Report) -> None:
    if report.pixels is None or report.original is None:
        return
    strip = np.full((28, 2 * report.pixels.shape[1]), 24, np.uint8)
    cv2.putText(strip, f"ORIGINAL | {badge(report)}", (8, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 230, 1, cv2.LINE_AA)
    cv2.imwrite(str(path), np.vstack([strip, np.hstack([_grey(report.original), _grey(report.pixels)])]))


def _grey(pixels: Pixels) -> np.ndarray:
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if pixels.ndim == 3 else pixels.astype(np.uint8)


def markdown(facts: dict[str, Any]) -> str:
    frames, captures, latency = facts["frames"], facts["captures"], facts["latency_ms"]
    words = {True: "good", False: "**NOT GOOD**", None: "not to be said"}
    lines = [
        f"# Soak of {facts['seconds'] / 60:.1f} minutes{'' if facts['ended'] else ' (not ended yet)'}", "",
        "| verdict | | figures |", "|---|---|---|",
        *(f"| {one['what']} | {words[one['good']]} | {one['figures']} |" for one in facts["verdicts"]), "",
        "| frames | |", "|---|---|",
        *(f"| {name.replace('_', ' ')} | {_told(frames[name])} |" for name in frames), "",
        "Latency, sent to received, ms: " + ", ".join(f"{name} {value}" for name, value in latency.items()), "",
        f"Captures: {captures['pressed']} pressed, {captures['acknowledged']} acknowledged, {captures['objects']} "
        f"objects, {captures['in_archive_once']} in the archive ({facts['archive']['kind']}) once.", "",
        f"The archive was away: {', '.join(_away(*each) for each in facts['archive']['away']) or 'never'}.", "",
        "| process | RSS MB, after warm-up: first / last / most | MB an hour | descriptors | an hour | CPU % |",
        "|---|---|---|---|---|---|", *(_row(name, trend) for name, trend in facts["processes"].items()), "",
        "| at | heat | degrees |", "|---|---|---|",
        *(f"| {one['at_s'] / 60:.1f} min | {one['before']} to {one['step']} | {one.get('celsius', '')} |"
          for one in facts["heat"]["changes"]), "",
        *(f"- {trouble}" for trouble in facts["troubles"]),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _told(value: Any) -> str:
    return (
        ", ".join(f"{key} {count}" for key, count in value.items()) or "none" if isinstance(value, dict) else f"{value}"
    )


def _away(since_s: float, until_s: float | None) -> str:
    return f"{since_s / 60:.1f} to {'now' if until_s is None else f'{until_s / 60:.1f}'} min"


def _row(name: str, trend: dict[str, Any]) -> str:
    rss, files = trend["rss_mb"], trend["descriptors"]
    return (
        f"| {name} | {rss['first']} / {rss['last']} / {rss['most']} | {trend['rss_mb_per_hour']:+g} | "
        f"{files['first']} to {files['last']} | {trend['descriptors_per_hour']:+g} | {trend['cpu_percent']} |"
    )
