"""`limpid config check`: read a configuration exactly as the daemon would."""

from __future__ import annotations

import json
from pathlib import Path

from edge import backends, config, displays, plugins, sensors, sinks, sources
from edge.config import parse_section
from edge.daemon import bound_addresses
from edge.errors import ConfigError
from edge.outbox import Settings
from edge.panel import gsdf
from edge.routing import parse_route


def run(path: Path, *, as_json: bool) -> int:
    try:
        check(path)
    except ConfigError as error:
        print(json.dumps({"ok": False, "error": str(error)}) if as_json else f"failure: {error}")
        return 2
    print(json.dumps({"ok": True, "path": str(path)}) if as_json else f"ok: {path}")
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
    if found.panel.gsdf_luminance:
        gsdf.check(found.panel.gsdf_luminance)
    parse_section(found.outbox, Settings, "outbox")
    for name, table in found.destination.items():
        route = parse_route(name, table)
        parse_section(route.options, plugins.load(sinks, route.kind).Options, f"destination.{name}.{route.kind}")
    return found
