// Brightness and contrast of what this page shows: the picture that is stored is not touched. As on the panel: a window
// over the picture's levels, which stay between black and white however far it is turned.

const MOST_BRIGHTER = 80; // per cent, either way
const [LEAST_CONTRAST, MOST_CONTRAST] = [40, 400];
const STEP = 10;
const SVG = "http://www.w3.org/2000/svg";

/** What a level becomes: `slope` times it, and `intercept`; both of full scale. Pure. */
export function transfer(brightness, contrast) {
  const slope = contrast / 100;
  const centre = 0.5 - brightness / 200;
  return { slope, intercept: 0.5 - centre * slope };
}

export class Tone {
  constructor(canvas, changed = () => {}) {
    this.canvas = canvas;
    this.changed = changed;
    this.brightness = 0;
    this.contrast = 100;
  }

  get isPlain() {
    return this.brightness === 0 && this.contrast === 100;
  }

  brighten(steps) {
    this.set({ brightness: this.brightness + steps * STEP });
  }

  sharpen(steps) {
    this.set({ contrast: this.contrast + steps * STEP });
  }

  reset() {
    this.set({ brightness: 0, contrast: 100 });
  }

  set({ brightness = this.brightness, contrast = this.contrast }) {
    this.brightness = Math.min(MOST_BRIGHTER, Math.max(-MOST_BRIGHTER, brightness));
    this.contrast = Math.min(MOST_CONTRAST, Math.max(LEAST_CONTRAST, contrast));
    this.apply();
    this.changed();
  }

  apply() {
    this.curves ??= this.build();
    const { slope, intercept } = transfer(this.brightness, this.contrast);
    for (const curve of this.curves) {
      curve.setAttribute("slope", String(slope));
      curve.setAttribute("intercept", String(intercept));
    }
    this.canvas.style.filter = this.isPlain ? "" : "url(#tone)";
  }

  build() {
    const make = (name, facts, ...inner) => {
      const node = document.createElementNS(SVG, name);
      for (const [key, value] of Object.entries(facts)) node.setAttribute(key, value);
      node.append(...inner);
      return node;
    };
    const curves = ["feFuncR", "feFuncG", "feFuncB"].map((name) => make(name, { type: "linear" }));
    const filter = make("filter", { id: "tone", "color-interpolation-filters": "sRGB" }, make("feComponentTransfer", {}, ...curves));
    this.canvas.after(make("svg", { width: "0", height: "0", "aria-hidden": "true", class: "unseen" }, filter));
    return curves;
  }
}

export const RANGES = { brightness: [-MOST_BRIGHTER, MOST_BRIGHTER], contrast: [LEAST_CONTRAST, MOST_CONTRAST] };
