// The judge's figures, chosen and told for people: the result beside the unprocessed picture. Pure.
import { say } from "../parts/say.js";

const PAIRS = [["psnr_db", 1], ["gcnr", 2], ["cho", 2], ["speckle_snr", 1], ["flicker", 2], ["ghost_percent", 1]];
const ALONE = [["recovery_min", 2], ["recovery_median", 2], ["invented_per_1000", 1], ["drift_db", 3], ["ms_int8", 1]];

export function figuresOf(figures = {}) {
  const pairs = PAIRS.filter(([name]) => name in figures).map(([name, digits]) => {
    const input = figures[`${name}_input`];
    const value = figures[name].toFixed(digits);
    return { label: say(`figure.${name}`), value: input === undefined ? value : `${input.toFixed(digits)} → ${value}` };
  });
  const alone = ALONE.filter(([name]) => name in figures).map(([name, digits]) => ({ label: say(`figure.${name}`), value: figures[name].toFixed(digits) }));
  return [...pairs, ...alone];
}
