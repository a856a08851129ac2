import assert from "node:assert/strict";
import { test } from "node:test";
import { daysOf } from "../../../../edge/console/page/js/health/days.js";

const day = (date, kinds) => ({ date, kinds });
const kind = (p50, p99) => ({ latency_ms: { p50, p99 } });

test("a day without this kind of picture is a gap, not a zero", () => {
  const all = [day("2026-11-25", { ultrasound: kind(7, 12) }), day("2026-11-26", { fluoroscopy: kind(9, 20) }), day("2026-11-27", { ultrasound: kind(8, null) })];
  assert.deepEqual(daysOf(all, "ultrasound"), [{ p50: 7, p99: 12 }, { p50: null, p99: null }, { p50: 8, p99: null }]);
});
