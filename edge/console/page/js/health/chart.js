// Latency over the last minutes: the median and the 99th percentile of each second.
import { milliseconds } from "../parts/format.js";

const LEFT = 52;
const BELOW = 8;

export function drawChart(canvas, history) {
  const ratio = devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const style = getComputedStyle(canvas);
  const top = nice(Math.max(...history.map(({ p99 }) => p99 ?? 0), 1));
  const place = { width: width - LEFT - 4, height: height - 2 * BELOW, top };
  axes(context, place, style);
  line(context, place, history.map(({ p99 }) => p99), style.getPropertyValue("--warn"));
  line(context, place, history.map(({ p50 }) => p50), style.getPropertyValue("--accent"));
}

/** The next 1, 2 or 5 times a power of ten. */
export function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((times) => times * power).find((step) => step >= value);
}

function axes(context, place, style) {
  context.strokeStyle = style.getPropertyValue("--line");
  context.fillStyle = style.getPropertyValue("--dim");
  context.font = "12px system-ui, sans-serif";
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const part of [0, 0.5, 1]) {
    const y = BELOW + place.height * (1 - part);
    context.beginPath();
    context.moveTo(LEFT, y);
    context.lineTo(LEFT + place.width, y);
    context.stroke();
    context.fillText(milliseconds(place.top * part), LEFT - 6, y);
  }
}

function line(context, place, values, colour) {
  context.strokeStyle = colour.trim();
  context.lineWidth = 2;
  context.beginPath();
  let drawing = false;
  values.forEach((value, index) => {
    if (!Number.isFinite(value)) {
      drawing = false;
      return;
    }
    const x = LEFT + (place.width * index) / Math.max(1, values.length - 1);
    const y = BELOW + place.height * (1 - Math.min(1, value / place.top));
    if (drawing) context.lineTo(x, y);
    else context.moveTo(x, y);
    drawing = true;
  });
  context.stroke();
}
