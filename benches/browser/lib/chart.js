/** The chart for the README: one panel of bars per load, with the intervals as whiskers. */
import { CONTROL, isOurs, REFERENCE } from "./clients.js";

const WIDTH = 960;
const LABEL = 215;
const VALUE = 110;
const ROW = 22;
const BAR = 12;
const HEAD = 40;
const GAP = 26;

/** What is shown, best when short. Loads that were not measured are left out. */
const PANELS = [
	{ load: "frames-50", title: "CPU per event at 50 events per frame, relative to a bare WebSocket", unit: "×", digits: 2, of: "ratio", isOne: true },
	{ load: "dispatch-1", title: "Own cost per frame of one event, µs over a bare WebSocket", unit: "µs", digits: 2, of: "over" },
	{ load: "tokens", title: "CPU per token in bursts of 50, µs", unit: "µs", digits: 2, of: "value" },
	{ load: "catchup-50", title: "100,000 missed events at 50 ms round trip, seconds", unit: "s", digits: 2, of: "value" },
	{ load: "startup-50", title: "Script start to first event at 50 ms round trip, ms", unit: "ms", digits: 0, of: "value" },
];

const STYLE = `text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600}.note,.value{fill:#59636e}.bar{fill:#afb8c1}.raw{fill:#6e7781}.ours{fill:#0969da}.name-ours{font-weight:600}.whisker{stroke:#1f2328;stroke-width:1}.axis{stroke:#d1d9e0}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.note,.value{fill:#9198a1}.bar{fill:#565e67}.raw{fill:#8b949e}.ours{fill:#4493f8}.whisker{stroke:#e6edf3}.axis{stroke:#3d444d}}`;

/** The chart as SVG. @param {import("./results.js").Results} results @param {ReturnType<typeof import("./machine.js").machine>} machine */
export function chart(results, machine) {
	const parts = [];
	let y = 10;
	for (const panel of PANELS) {
		const rows = rowsOf(results, panel);
		if (rows.length === 0) continue;
		parts.push(drawn(panel, rows, y));
		y += HEAD + rows.length * ROW + GAP;
	}
	const note = `${machine.chromium}, ${machine.cpu}, ${machine.cores} cores. Medians of interleaved rounds; whiskers: 95 % bootstrap intervals. Shorter is better.`;
	parts.push(`<text class="note" x="0" y="${y}">${escaped(note)}</text>`);
	const height = y + 14;
	return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="agentwire beside other clients"><style>${STYLE}</style>${parts.join("")}</svg>\n`;
}

function rowsOf(results, { load, of }) {
	return results
		.clients(load)
		.filter(({ id, isExperiment }) => isExperiment !== true && id !== CONTROL && !(of === "over" && id === REFERENCE))
		.map(({ id, label }) => ({ id, label, estimate: results[of](load, id) }))
		.filter(({ estimate }) => estimate !== undefined);
}

function drawn({ title, unit, digits, isOne }, rows, top) {
	const most = Math.max(...rows.map(({ estimate }) => estimate.high), 0);
	const scale = (value) => (Math.max(0, value) / (most || 1)) * (WIDTH - LABEL - VALUE);
	const bottom = top + HEAD + rows.length * ROW - 6;
	const parts = [`<text class="title" x="0" y="${top + 16}">${escaped(title)}</text>`];
	for (const x of isOne ? [0, 1] : [0])
		parts.push(`<line class="axis" x1="${at(LABEL + scale(x))}" x2="${at(LABEL + scale(x))}" y1="${top + HEAD - 10}" y2="${bottom}"/>`);
	for (const [index, { id, label, estimate }] of rows.entries()) {
		const y = top + HEAD + index * ROW;
		const kind = isOurs(id) ? "ours" : id === REFERENCE ? "raw" : "bar";
		const end = LABEL + scale(estimate.point);
		const [low, high] = [estimate.low, estimate.high].map((value) => at(LABEL + scale(value)));
		parts.push(
			`<text class="${isOurs(id) ? "name-ours" : ""}" x="${LABEL - 10}" y="${y + 4}" text-anchor="end">${escaped(label)}</text>`,
			`<rect class="${kind}" x="${LABEL}" y="${y - BAR / 2}" width="${at(end - LABEL)}" height="${BAR}" rx="2"/>`,
			`<line class="whisker" x1="${low}" x2="${high}" y1="${y}" y2="${y}"/>`,
			`<text class="value" x="${Math.max(high, at(end)) + 8}" y="${y + 4}">${estimate.point.toFixed(digits)} ${unit}</text>`,
		);
	}
	return parts.join("");
}

const at = (value) => Math.round(value * 10) / 10;
const escaped = (text) => text.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);
