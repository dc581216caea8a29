/**
 * The events of the load: 255 to 340 bytes of JSON, four types in turn, the same for every client. Token events are pieces of one
 * message, as an agent streams them.
 *
 * `time` is {@link T0} plus the number of the event, from 1. So a page can check the order without a field that only this benchmark
 * knows, and also behind a frame that carries times and texts apart from the rest.
 */

/** The `time` of event 0. */
export const T0 = 1_790_000_000_000;

/** The types of the load, for clients that have a handler per type. */
export const TYPES = ["agent_thinking", "message_delta", "tool_executing", "tool_completed"];

/** Bytes of an event that is no token. */
const MIN_BYTES = 255;
const MAX_BYTES = 340;

const RUN = "run-7f3a90c1";
const MESSAGE = "message-0b7c2d44";
const WORDS = "the agent reads the notes of the station and compares what the log says with what the page has shown since the last restart of the server ";
const FILLER = WORDS.repeat(4);

/** @param {number} n From 1. @returns {string} JSON. */
export function eventText(n) {
	const parts = around(n);
	return parts[0] + FILLER.slice(0, textBytes(n, parts)) + parts[1];
}

/** A token of a message. @param {number} n From 1. @returns {string} JSON. */
export function tokenText(n) {
	return `{"type":"message_delta","runId":"${RUN}","messageId":"${MESSAGE}","time":${T0 + n},"text":"${token(n)}"}`;
}

/** What a page must have seen after the events 1 to `count`: the sum over number and length of text. @param {"events" | "tokens"} kind */
export function expectedSum(kind, count) {
	let sum = 0;
	for (let n = 1; n <= count; n += 1) sum += n + (kind === "tokens" ? token(n).length : textBytes(n, around(n)));
	return sum;
}

/** The JSON of event `n` of a kind of load. @param {"events" | "tokens"} kind */
export function textOf(kind, n) {
	return kind === "tokens" ? tokenText(n) : eventText(n);
}

/** What all token events share, as JSON, for a frame that carries times and texts apart. */
export const TOKEN_HEAD = `{"type":"message_delta","runId":"${RUN}","messageId":"${MESSAGE}"}`;

/** The text of token `n`. */
export const token = (n) => ` ${WORDS.slice((n * 7) % 90, ((n * 7) % 90) + 2 + (n % 6)).trim() || "so"}`;

/** Length of the text that brings an event to its size; the sizes are spread evenly and do not follow the types. */
function textBytes(n, [before, after]) {
	return MIN_BYTES + ((n * 37) % (MAX_BYTES - MIN_BYTES + 1)) - before.length - after.length;
}

function around(n) {
	const time = T0 + n;
	switch (n % 4) {
		case 0:
			return [
				`{"type":"agent_thinking","runId":"${RUN}","agent":"triage","time":${time},"step":${(n % 9) + 1},"totalSteps":9,"progress":${n % 101},"text":"`,
				'"}',
			];
		case 1:
			return [`{"type":"message_delta","runId":"${RUN}","messageId":"${MESSAGE}","time":${time},"text":"`, '"}'];
		case 2:
			return [
				`{"type":"tool_executing","runId":"${RUN}","toolCallId":"call-${n}","toolName":"search","time":${time},"text":"`,
				'","args":{"query":"station","limit":20}}',
			];
		default:
			return [
				`{"type":"tool_completed","runId":"${RUN}","toolCallId":"call-${n}","time":${time},"success":true,"durationMs":${n % 997},"text":"`,
				'","result":{"matches":[3,17,42],"more":false}}',
			];
	}
}
