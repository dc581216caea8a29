/** The tables of docs/PERFORMANCE.md. */
import { CONTROL, isOurs, REFERENCE } from "./clients.js";
import { LOADS } from "./loads.js";
import { judged, withInterval } from "./report.js";
import { TARGETS } from "./targets.js";

const BEGIN = "<!-- Written by `cargo xtask bench --docs`. -->";
const END = "<!-- Up to here. -->";

/** `page` with other results in it. @param {string} page @param {import("./results.js").Results} results */
export function replaced(page, results, { date, commit, machine, rounds }) {
	const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
	if (begin < 0 || end < begin) throw new Error(`the page has no part between ${BEGIN} and ${END}`);
	const where = `${machine.cores} cores of ${machine.cpu}, ${machine.memoryGiB} GiB, ${machine.chromium}, ${rounds} rounds, commit ${commit ?? "unknown"}, ${date.slice(0, 10)}.`;
	const parts = [BEGIN, where, targets(results), ...LOADS.filter(({ id }) => results.loads().includes(id)).map((load) => table(load, results))];
	return `${page.slice(0, begin)}${parts.join("\n\n")}\n\n${page.slice(end)}`;
}

function targets(results) {
	const rows = judged(results).map(({ what, unit, must, aim, measured, verdict }, index) => {
		const shown = measured === undefined ? "" : withInterval(measured, TARGETS[index].digits);
		return `| ${what}, ${unit} | ${shown} | ${must} | ${aim ?? ""} | ${verdict} |`;
	});
	return ["| target | measured | must | aim | |", "|---|---|---|---|---|", ...rows].join("\n");
}

function table(load, results) {
	const isRatio = load.compare === "ratio";
	const head = ["client", load.unit, ...(isRatio ? ["ratio to raw"] : []), "over raw"];
	const rows = results.clients(load.id).map(({ id, label }) => {
		const against = (estimate, digits) => (estimate === undefined || id === REFERENCE ? "" : withInterval(estimate, digits));
		const value = results.value(load.id, id)?.point.toFixed(load.digits) ?? "failed";
		const ratio = isRatio ? [against(results.ratio(load.id, id), 2)] : [];
		return [isOurs(id) ? `**${label}**` : label, value, ...ratio, against(results.over(load.id, id), load.digits)];
	});
	const lines = [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
	const spread = results.rounds(load.id, CONTROL).length > 0 ? results.ratio(load.id, CONTROL) : undefined;
	const last = spread === undefined ? [] : ["", `A/A: ${withInterval(spread, 2)} over ${spread.rounds} rounds`];
	return [`**${load.title}** (\`${load.id}\`)`, "", ...lines, ...last].join("\n");
}
