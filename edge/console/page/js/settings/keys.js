// Which key a message of the configuration is about, and where it stands in the text. Pure.

/** "[live] deadline_ms ...", "[live.deadline_ms] expected ...", "unknown key "x" in [live]; ..." -> "live.x"; "" where none is named. */
export function keyIn(error) {
  const strange = /unknown key "([^"]+)"(?: in \[([^\]]+)\])?/.exec(error);
  if (strange) return strange[2] ? `${strange[2]}.${strange[1]}` : strange[1];
  const place = /\[([A-Za-z][\w.-]*)\](?:\s+([a-z]\w*_\w+|[a-z]+)(?=\s+(?:=|is|has|needs)))?/.exec(error);
  if (!place) return "";
  return place[2] ? `${place[1]}.${place[2]}` : place[1];
}

/** The line that a message itself names, or 0. */
export function lineIn(error) {
  return Number(/\bline (\d+)/.exec(error)?.[1] ?? 0);
}

/** The line (from 1) of a key in a TOML text, or 0: by its table and name, as people write them. */
export function lineOf(text, key) {
  const parts = key.split(".");
  const name = parts.pop();
  const wanted = parts.join(".");
  let table = "";
  let header = 0;
  const lines = text.split("\n");
  for (const [index, line] of lines.entries()) {
    const opened = /^\s*\[+\s*([^\]]+?)\s*\]+/.exec(line);
    if (opened) {
      table = opened[1].replaceAll('"', "");
      if (table === key || (table === wanted && !header)) header = index + 1;
      continue;
    }
    const assigned = /^\s*"?([\w.-]+)"?\s*=/.exec(line);
    if (assigned && [table, assigned[1]].filter(Boolean).join(".") === key) return index + 1;
  }
  return header;
}

/** A value as a person reads it. */
export function shown(value) {
  if (value === null || value === undefined) return "–";
  return typeof value === "string" ? `"${value}"` : JSON.stringify(value);
}
