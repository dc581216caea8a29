/** The tables that people read. */
import { CONTROL, isOurs, REFERENCE } from "./clients.js";
import { LOADS } from "./loads.js";
import { judge, TARGETS } from "./targets.js";

const figure = (value, digits) => value.toFixed(digits);
const interval = ({ low, high }, digits) => `[${figure(low, digits)}–${figure(high, digits)}]`;

/** One table per load. @param {import("./results.js").Results} results */
export function tables(results) {
	return LOADS.filter(({ id }) => results.loads().includes(id)).map((load) => table(load, results)).join("\n");
}

function table(load, results) {
	const lines = [`\n  ${load.id}: ${load.title}`, `  ${"".padEnd(32)} ${load.unit.padStart(10)}   ${load.compare === "ratio" ? "ratio to raw of the same round" : "over raw of the same round"}`];
	for (const { id, label } of results.clients(load.id)) {
		const value = results.value(load.id, id);
		if (value === undefined) continue;
		const against = load.compare === "ratio" ? results.ratio(load.id, id) : results.over(load.id, id);
		const sign = against !== undefined && load.compare === "over" && against.point > 0 ? "+" : "";
		const compared = against === undefined || id === REFERENCE ? "" : `${(sign + figure(against.point, Math.max(load.digits, load.compare === "ratio" ? 2 : 0))).padStart(8)} ${interval(against, 2)}`;
		lines.push(`  ${(isOurs(id) ? `${label}  <` : label).padEnd(32)} ${figure(value.point, load.digits).padStart(10)}   ${compared}`.trimEnd());
	}
	const spread = results.rounds(load.id, CONTROL).length > 0 ? results.ratio(load.id, CONTROL) : undefined;
	if (spread !== undefined) lines.push(`  A/A: ${figure(spread.point, 2)} ${interval(spread, 2)} over ${spread.rounds} rounds`);
	return lines.join("\n");
}

/** A line per target, and the last one. @param {import("./results.js").Results} results */
export function verdicts(results) {
	const lines = ["", `  ${"target".padEnd(58)} ${"measured".padStart(20)} ${"must".padStart(8)} ${"aim".padStart(8)}`];
	let met = 0;
	for (const target of TARGETS) {
		const { what, unit, digits, must, aim } = target;
		const measured = target.of(results);
		const verdict = measured === undefined ? "not measured" : judge(target, measured);
		if (verdict === "aim" || verdict === "must") met += 1;
		const shown = measured === undefined ? "–" : `${figure(measured.point, digits)} ${interval(measured, digits)}`;
		lines.push(`  ${`${what}, ${unit}`.padEnd(58)} ${shown.padStart(20)} ${String(must).padStart(8)} ${String(aim ?? "").padStart(8)}  ${verdict}`);
	}
	lines.push(`\nbench: ${met} of ${TARGETS.length} targets met`);
	return lines.join("\n");
}

/** The targets with what they came to, for a file. @param {import("./results.js").Results} results */
export function judged(results) {
	return TARGETS.map((target) => {
		const measured = target.of(results);
		const { what, unit, must, aim } = target;
		return { what, unit, must, aim, measured, verdict: measured === undefined ? "not measured" : judge(target, measured) };
	});
}
