/** The tables that people read. */
import { CONTROL, isOurs, REFERENCE } from "./clients.js";
import { LOADS } from "./loads.js";
import { judge, TARGETS } from "./targets.js";

const figure = (value, digits) => value.toFixed(digits);
const interval = ({ low, high }, digits) => `[${figure(low, digits)} to ${figure(high, digits)}]`;
/** An estimate with its interval. */
export const withInterval = (estimate, digits) => `${figure(estimate.point, digits)} ${interval(estimate, digits)}`;

/** One table per load. @param {import("./results.js").Results} results */
export function tables(results) {
	return LOADS.filter(({ id }) => results.loads().includes(id))
		.map((load) => table(load, results))
		.join("\n");
}

function table(load, results) {
	const isRatio = load.compare === "ratio";
	const head = [
		`\n  ${load.id}: ${load.title}`,
		`  ${"".padEnd(32)} ${load.unit.padStart(10)}${isRatio ? "ratio to raw".padStart(22) : ""}${"over raw".padStart(26)}`,
	];
	const rows = results.clients(load.id).map(({ id, label }) => {
		const value = results.value(load.id, id);
		if (value === undefined) return undefined;
		const name = (isOurs(id) ? `${label}  <` : label).padEnd(32);
		const ratio = isRatio ? compared(results.ratio(load.id, id), 2, id, 22) : "";
		return `  ${name} ${figure(value.point, load.digits).padStart(10)}${ratio}${compared(results.over(load.id, id), load.digits, id, 26)}`.trimEnd();
	});
	const spread = results.rounds(load.id, CONTROL).length > 0 ? results.ratio(load.id, CONTROL) : undefined;
	const last = spread === undefined ? [] : [`  A/A: ${withInterval(spread, 2)} over ${spread.rounds} rounds`];
	return [...head, ...rows.filter(Boolean), ...last].join("\n");
}

/** An estimate against raw; raw itself has none. */
function compared(against, digits, id, width) {
	return (against === undefined || id === REFERENCE ? "" : withInterval(against, digits)).padStart(width);
}

/** A line per target, and the last one. @param {import("./results.js").Results} results */
export function verdicts(results) {
	const lines = ["", `  ${"target".padEnd(58)} ${"measured".padStart(22)} ${"must".padStart(8)} ${"aim".padStart(8)}`];
	let met = 0;
	for (const target of TARGETS) {
		const { what, unit, digits, must, aim } = target;
		const measured = target.of(results);
		const verdict = measured === undefined ? "not measured" : judge(target, measured);
		if (verdict === "aim" || verdict === "must") met += 1;
		const shown = measured === undefined ? "–" : withInterval(measured, digits);
		lines.push(`  ${`${what}, ${unit}`.padEnd(58)} ${shown.padStart(22)} ${String(must).padStart(8)} ${String(aim ?? "").padStart(8)}  ${verdict}`);
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
