/**
 * Stands for the network: a `WebSocket` that is an EventTarget and dispatches real MessageEvents, with the server's half of the
 * protocol behind it. What is left of a client's cost is its own.
 *
 * Loaded before the client, which may look at `WebSocket` when it is imported.
 */
import { DIALECTS } from "../shared/dialects/index.js";
import { textOf } from "../shared/events.js";

const query = new URLSearchParams(location.search);
const dialect = DIALECTS[query.get("dialect") ?? "raw"];
/** Frames that one task dispatches, by events per frame: microtasks run between tasks. Fewer would measure the tasks. */
const FRAMES_PER_TASK = { 1: 100, 50: 4 };

let socket;
let session;
let subscribed = () => {};
const ready = new Promise((resolve) => (subscribed = resolve));

class SyntheticSocket extends EventTarget {
	static CONNECTING = 0;
	static OPEN = 1;
	static CLOSING = 2;
	static CLOSED = 3;
	CONNECTING = 0;
	OPEN = 1;
	CLOSING = 2;
	CLOSED = 3;
	readyState = 0;
	bufferedAmount = 0;
	binaryType = "blob";
	extensions = "";
	#handlers = {};

	constructor(url, protocols = []) {
		super();
		this.url = new URL(url, location.href).href.replace(/^http/, "ws");
		this.protocol = [protocols].flat()[0] ?? "";
		if (socket !== undefined) throw new Error("the client opened a second socket");
		socket = this;
		const fail = (reason) => {
			throw new Error(reason);
		};
		session = dialect.session({ send: (text) => setTimeout(() => this.deliver(text)), subscribed: () => setTimeout(subscribed), fail, history: 0 });
		setTimeout(() => {
			this.readyState = 1;
			this.dispatchEvent(new Event("open"));
			session.opened();
		});
	}

	send(data) {
		session.received(data);
	}

	close() {
		this.readyState = 3;
	}

	deliver(text) {
		this.dispatchEvent(new MessageEvent("message", { data: text }));
	}

	static {
		// As in browsers, such a handler is one listener, whose place is that of its first setting.
		for (const type of ["open", "message", "error", "close"]) {
			Object.defineProperty(SyntheticSocket.prototype, `on${type}`, {
				get() {
					return this.#handlers[type]?.handler ?? null;
				},
				set(handler) {
					const present = this.#handlers[type];
					if (present !== undefined) {
						present.handler = handler;
						return;
					}
					const entry = (this.#handlers[type] = { handler });
					this.addEventListener(type, (event) => entry.handler?.call(this, event));
				},
			});
		}
	}
}

globalThis.WebSocket = SyntheticSocket;

const encoder = new TextEncoder();
const decoder = new TextDecoder();
let sent = 0;
let frames = [];

/** Makes the next `count` events ready, in frames of `perFrame`: flat strings, as messages are that come from a network. */
function prepare(kind, count, perFrame) {
	frames = [];
	for (let first = sent + 1; first <= sent + count; first += perFrame) {
		const last = Math.min(first + perFrame - 1, sent + count);
		const events = [];
		for (let n = first; n <= last; n += 1) events.push(textOf(kind, n));
		const text = decoder.decode(encoder.encode(dialect.encode(events, first)));
		frames.push({ text, first, last, bytes: events.reduce((sum, event) => sum + event.length, 0) });
	}
	sent += count;
}

/** Dispatches what is prepared and resolves with what the page saw when all of it has come. */
function play(perFrame) {
	const all = globalThis.bench.expect(sent);
	let index = 0;
	const task = () => {
		const from = index;
		for (let left = FRAMES_PER_TASK[perFrame] ?? 1; left > 0 && index < frames.length; left -= 1) {
			const { text, first, last, bytes } = frames[index];
			if (!session.room(first, last - first + 1, bytes)) break;
			session.sent(last, bytes);
			socket.deliver(text);
			index += 1;
		}
		if (index === frames.length) return;
		// Where flow control holds it up, waiting must not cost CPU.
		if (index === from) setTimeout(task, 1);
		else next();
	};
	// Stays on this thread; a MessageChannel would let it sleep until another one has passed the message on.
	const next = () => void scheduler.postTask(task, { priority: "user-blocking" });
	next();
	return all;
}

globalThis.synthetic = { ready, prepare, play };
