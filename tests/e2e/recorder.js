// A page as an application would write it, that reports to the server what its handlers got.

import { createClient } from "/pkg/dist/index.js";

import { canonical, fingerprint } from "./canonical.js";
import { Outbox } from "./outbox.js";
import { Runs } from "./runs.js";

const QUESTION = "Give me a tour of this project";

const params = new URLSearchParams(location.search);
const life = Number(params.get("life"));
const stored = params.get("mode") === "store";
const status = document.getElementById("status");

/** Key of what the next life goes on from. */
const STORED = "recorder";
const former = stored ? JSON.parse(sessionStorage.getItem(STORED)) : null;
const runs = new Runs(former?.runs);
let connected = false;
let caughtUp = false;
let last = 0;
/** Whether the server wants questions; the first answer says. */
let ask = true;
let answered = false;
let asking = false;
/** When the connection was lost, until the next event was delivered. */
let lostAt;

const outbox = new Outbox(life, view, (answer) => {
	ask = answer.ask;
	answered = true;
	askIfIdle();
});

reportConsole("error");
reportConsole("warn");
addEventListener("error", (event) => outbox.fact({ kind: "console", level: "uncaught", text: describe(event.error ?? event.message) }));
addEventListener("unhandledrejection", (event) => outbox.fact({ kind: "console", level: "unhandled", text: describe(event.reason) }));
addEventListener("pagehide", () => {
	// A page that got nothing yet has a position all the same, once it was subscribed.
	store(thread.position);
	outbox.leave();
});
addEventListener("pageshow", ({ persisted, isTrusted }) => {
	if (!persisted) return;
	outbox.back();
	outbox.fact({ kind: "signal", name: "pageshow", trusted: isTrusted });
});
for (const name of ["freeze", "resume", "visibilitychange"]) {
	document.addEventListener(name, ({ isTrusted }) => {
		outbox.fact({ kind: "signal", name: name === "visibilitychange" ? document.visibilityState : name, trusted: isTrusted });
	});
}
for (const name of ["online", "offline"]) {
	addEventListener(name, ({ isTrusted }) => outbox.fact({ kind: "signal", name, trusted: isTrusted }));
}

const client = createClient({ url: params.get("ws"), token: fetchToken });
const thread = client.thread(params.get("thread"), { from: former?.position ?? "start" });

client.on("state", () => {
	const { name, reason, attempt } = client.state;
	if (connected && name !== "connected") {
		lostAt ??= performance.now();
		caughtUp = false;
	}
	connected = name === "connected";
	outbox.fact({ kind: "state", name, reason, attempt });
});
client.on("error", (error) => outbox.fact({ kind: "error", code: String(error?.code), text: describe(error) }));

thread.onEvent((event, { offset, epoch, delivery }) => {
	const body = canonical(event);
	outbox.record(offset, epoch, delivery === "replay", fingerprint(body), body);
	last = offset;
	runs.apply(event);
	if (event.type === "user_message") asking = false;
	// The answer to a question, and not a part of one.
	if (event.type === "agent_started" && event.sendId !== undefined) outbox.fact({ kind: "began", offset });
	if (event.type === "agent_died") outbox.fact({ kind: "died", offset, cause: String(event.cause) });
	if (lostAt !== undefined && connected) {
		outbox.fact({ kind: "recovered", ms: performance.now() - lostAt });
		lostAt = undefined;
	}
	askIfIdle();
});
thread.onBatch((_, { position }) => store(position));
thread.onGap(({ from, to, reason, remedy, epoch, position }) => {
	if (remedy === "reset") runs.reset();
	store(position);
	outbox.fact({ kind: "gap", from, to, reason, epoch });
});
thread.onResumed(({ recovered, from, to, replayed, duplicatesDropped, position }) => {
	store(position);
	caughtUp = true;
	outbox.fact({ kind: "resumed", recovered, from, to, replayed, duplicatesDropped });
	askIfIdle();
});
thread.onEnded(({ reason }) => outbox.fact({ kind: "ended", reason }));

/** How often the client has tried to connect. */
globalThis.attempts = () => client.stats().attempts;

if (params.get("trap") === "1") {
	// The package's own module, in the copy that can trap: its next call into the core fails as a bug there would.
	const { RawClient } = await import("/pkg/wasm/agentwire.js");
	const { counter } = RawClient.prototype;
	globalThis.trap = () => {
		RawClient.prototype.counter = function (place) {
			RawClient.prototype.counter = counter;
			this.trap();
			return counter.call(this, place);
		};
		client.stats();
	};
}

status.textContent = "recording";
outbox.fact({ kind: "started", mode: stored ? "store" : "start" });

/** Stores a position in one step with the state that belongs to it (LIF-2). */
function store(position) {
	if (stored && position !== undefined) sessionStorage.setItem(STORED, JSON.stringify({ position, runs }));
}

function view() {
	return { last, open: runs.open, waiting: runs.waiting, connected, caughtUp, asking: asking || ask };
}

/** Asks when nothing is under way; a message that is lost with the page is simply asked again by the next one. */
function askIfIdle() {
	if (!ask || !answered || asking || !connected || !caughtUp || runs.open > 0 || runs.waiting > 0) return;
	asking = true;
	// Not inside a handler of the thread: what is sent there is only queued, which would test less.
	queueMicrotask(() => {
		const message = thread.send({ content: QUESTION });
		message.receipt.catch((error) => {
			asking = false;
			outbox.fact({ kind: "error", code: String(error?.code), text: `a question was not taken: ${describe(error)}` });
		});
	});
}

async function fetchToken() {
	const response = await fetch("/token", { method: "POST" });
	if (!response.ok) throw new Error(`no token: the server answered ${response.status}`);
	const { token } = await response.json();
	return token;
}

function describe(value) {
	return value instanceof Error ? `${value.name}: ${value.message}` : String(value);
}

function reportConsole(level) {
	const original = console[level].bind(console);
	console[level] = (...values) => {
		original(...values);
		outbox.fact({ kind: "console", level, text: values.map(describe).join(" ") });
	};
}
