// Looks up a text of words.js and fills in its {places}. One text for "one", another for "other", where both are there.
import { words } from "../words.js";

export const LANGUAGE = words.language;
const plural = new Intl.PluralRules(LANGUAGE);

export function say(key, values = {}) {
  let text = words.texts[key];
  if (text === undefined && "n" in values) {
    text = words.texts[`${key}.${plural.select(values.n)}`] ?? words.texts[`${key}.other`];
  }
  if (text === undefined) return key; // a missing text must not cost the page
  return text.replace(/\{(\w+)\}/g, (place, name) => (name in values ? String(values[name]) : place));
}

/** A text for a code of the daemon's; the code itself, readable, where there is none yet. */
export function sayCode(prefix, code) {
  const key = `${prefix}.${code}`;
  return key in words.texts ? say(key) : String(code).replaceAll("_", " ").replaceAll("-", " ");
}
