"""`limpid config check`: read a configuration exactly as the daemon would."""

from __future__ import annotations

import json
from pathlib import Path

from edge import backends, config, displays, plugins, sensors, sinks, sources
from edge.access.exposure import check_certificate, unlocked
from edge.config import parse_section
from edge.daemon import bound_addresses
from edge.errors import ConfigError
from edge.outbox import Settings
from edge.panel import gsdf
from edge.routing import parse_route


def run(path: Path, *, as_json: bool) -> int:
    try:
        found = check(path)
        missing = unlocked(found, bound_addresses(found))
    except ConfigError as error:
        print(json.dumps({"ok": False, "error": str(error)}) if as_json else f"failure: {error}")
        return 2
    if as_json:
        print(json.dumps({"ok": True, "path": str(path), "missing_here": missing}))
    else:
        print(f"ok: {path}", *(f"on this machine it would not start yet: {each}" for each in missing), sep="\n")
    return 0


def check(path: Path) -> config.Config:
    """Also the tables of the plugins that it chooses, which the configuration itself does not know."""
    found = config.load(path)
    plugins.load(backends, found.engines.backend)
    for package, tables in ((sources, found.source), (displays, found.display)):
        noun = package.__name__.rsplit(".", 1)[-1].removesuffix("s")
        for kind, options in tables.items():
            parse_section(options, plugins.load(package, kind).Options, f"{noun}.{kind}")
    for kind, options in found.sensors.items():
        parse_section(options, plugins.load(sensors, kind).Options, f"sensors.{kind}")
    bound_addresses(found)
    check_certificate(found.console)
    if found.panel.gsdf_luminance:
        gsdf.check(found.panel.gsdf_luminance)
    parse_section(found.outbox, Settings, "outbox")
    for name, table in found.destination.items():
        route = parse_route(name, table)
        parse_section(route.options, plugins.load(sinks, route.kind).Options, f"destination.{name}.{route.kind}")
    return found
