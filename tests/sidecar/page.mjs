// One page: a client of the built package. It sends messages, and notes each event that it gets.
//
// Its file has a line for each event: offset and body. It is killed now and then; the next page of the same user begins a file of its own.
// Standard input: "stop" ends the sending. Standard output: "event" for each event, and "idle" when it has stopped and each of its
// messages is answered.
import { createHmac } from "node:crypto";
import { openSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { createClient } from "../../pkg/dist/index.js";

const { SIDECAR_PAGE_URL, SIDECAR_SECRET, SIDECAR_USER, SIDECAR_FILE, SIDECAR_LIFE } = process.env;

/** Messages of the page that are not answered yet. */
const OUTSTANDING = 2;

const ENDS = new Set(["agent_completed", "agent_cancelled", "agent_died"]);
const file = openSync(SIDECAR_FILE, "a");
/** Messages, the runs that claimed them, and the runs that are over. */
const [messages, claims, over] = [new Set(), new Map(), new Set()];
let stopped = false;
let sent = 0;
/** Own messages that did not come back as events yet. */
const own = new Set();

const client = createClient({ url: SIDECAR_PAGE_URL, token: sign, user: SIDECAR_USER, backoff: { maxMs: 1_000 } });
// Cuts and killed servers are what this is about.
client.on("error", () => {});
const thread = client.thread("plan");
thread.onGap((gap) => note({ gap }));
thread.onEnded((ended) => note({ ended }));
thread.onEvent((event, { offset }) => {
	note({ offset, event });
	const { type, sendId, runId } = event;
	if (type === "user_message") {
		messages.add(sendId);
		own.delete(sendId);
	}
	if (sendId !== undefined && runId !== undefined) claims.set(sendId, runId);
	if (ENDS.has(type) || (type === "agent_error" && !event.recoverable)) over.add(runId);
	console.log("event");
	go();
});
thread.onResumed(go);

createInterface(process.stdin).on("line", (line) => {
	if (line === "stop") stopped = true;
	go();
});

function open() {
	return [...messages].filter((id) => !over.has(claims.get(id))).length + own.size;
}

function go() {
	if (stopped) {
		if (open() === 0) console.log("idle");
		return;
	}
	while (open() < OUTSTANDING) {
		const id = `${SIDECAR_USER}-${SIDECAR_LIFE}-${(sent += 1)}`;
		own.add(id);
		const message = thread.send({ content: id }, { id });
		// The judge looks at the log; one that fails is no message of it.
		message.receipt.catch(() => own.delete(id));
	}
}

function note(line) {
	writeSync(file, `${JSON.stringify(line)}\n`);
}

function sign() {
	const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
	const now = Math.floor(Date.now() / 1_000);
	const head = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ sub: SIDECAR_USER, iat: now, exp: now + 3_600 })}`;
	return `${head}.${createHmac("sha256", SIDECAR_SECRET).update(head).digest("base64url")}`;
}
