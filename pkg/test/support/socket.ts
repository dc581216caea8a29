/** A WebSocket whose other end is in the test. */

/** A frame of either side, as JSON has it. */
export interface Frame {
	readonly type: string;
	readonly [field: string]: unknown;
}

/** What a socket needs of the world it lives in. */
export interface SocketHost {
	readonly peers: Peer[];
	/** One way, in milliseconds. */
	readonly latency: number;
	/** How long a socket is closing when the server has closed it, in milliseconds. */
	readonly closingMs: number;
	readonly now: number;
	readonly onSocket: (peer: Peer) => void;
	later(ms: number, run: () => void): () => void;
	report(error: unknown): void;
	/** What a browser would print. */
	warn(text: string): void;
}

/** How long a browser waits for the answer to its close frame, in milliseconds. */
const CLOSE_TIMEOUT_MS = 20_000;

type Handler = ((event: never) => unknown) | null;

/** The page's end. */
export class ScriptedSocket extends EventTarget {
	static readonly CONNECTING = 0;
	static readonly OPEN = 1;
	static readonly CLOSING = 2;
	static readonly CLOSED = 3;
	readonly CONNECTING = 0;
	readonly OPEN = 1;
	readonly CLOSING = 2;
	readonly CLOSED = 3;
	readonly url: string;
	/** Bytes that wait in it: as many as the test says. */
	bufferedAmount = 0;
	readonly extensions = "";
	binaryType = "blob";
	protocol = "";
	readyState = 0;
	onopen: Handler = null;
	onmessage: Handler = null;
	onerror: Handler = null;
	onclose: Handler = null;
	readonly peer: Peer;
	readonly #host: SocketHost;

	constructor(host: SocketHost, url: string, protocols: string | readonly string[] = []) {
		super();
		this.url = new URL(url).href;
		this.#host = host;
		this.peer = new Peer(host, this, typeof protocols === "string" ? [protocols] : protocols);
		host.peers.push(this.peer);
		host.later(host.latency, () => {
			if (this.readyState === ScriptedSocket.CONNECTING) host.onSocket(this.peer);
		});
	}

	send(data: unknown): void {
		if (this.readyState === ScriptedSocket.CONNECTING) throw new DOMException("Still in CONNECTING state.", "InvalidStateError");
		if (this.readyState === ScriptedSocket.OPEN) return this.peer.carry(data);
		this.#host.warn("WebSocket is already in CLOSING or CLOSED state.");
	}

	close(code?: number, reason = ""): void {
		if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999))
			throw new DOMException(`The close code ${code} is not allowed.`, "InvalidAccessError");
		if (new TextEncoder().encode(reason).length > 123) throw new DOMException("The reason is too long.", "SyntaxError");
		if (this.readyState >= ScriptedSocket.CLOSING) return;
		const opened = this.readyState === ScriptedSocket.OPEN;
		this.readyState = ScriptedSocket.CLOSING;
		this.peer.left(opened, code ?? 1005, reason);
	}

	/** Calls the handlers of an event; what they throw is reported to the page. */
	fire(type: string, fields: Readonly<Record<string, unknown>> = {}): void {
		this.dispatchEvent(Object.assign(new Event(type), fields));
	}

	/** As in a browser, where `onclose` and its like are listeners, too. */
	override dispatchEvent(event: Event): boolean {
		const handler = { open: this.onopen, message: this.onmessage, error: this.onerror, close: this.onclose }[event.type];
		try {
			// The page ties each handler to its event.
			(handler as ((event: Event) => unknown) | null | undefined)?.(event);
		} catch (error) {
			this.#host.report(error);
		}
		return super.dispatchEvent(event);
	}
}

/** The server's end of a socket. */
export class Peer {
	readonly socket: ScriptedSocket;
	/** The subprotocols that the page offered. */
	readonly protocols: readonly string[];
	/** Every frame that the page sent, and that arrived. */
	readonly received: Frame[] = [];
	/** With what code the page closed it. */
	closedWith: number | undefined;
	/** With what reason. */
	closeReason = "";
	/** Hears each frame of the page. */
	onFrame: (frame: Frame) => void = () => undefined;
	/** Hears that the socket is gone, whoever ended it. */
	onGone: () => void = () => undefined;
	/** The line is dead: nothing goes through either way, and neither side notices. */
	dead = false;
	readonly #host: SocketHost;
	#gone = false;
	/** When the last frame arrives, to the page and to the server: frames never overtake each other. */
	#atPage = 0;
	#atServer = 0;

	constructor(host: SocketHost, socket: ScriptedSocket, protocols: readonly string[]) {
		this.#host = host;
		this.socket = socket;
		this.protocols = protocols;
	}

	get isOpen(): boolean {
		return this.socket.readyState === ScriptedSocket.OPEN && !this.#gone;
	}

	/** Accepts the handshake. */
	open(protocol = "agentwire.v1"): void {
		this.#toPage(() => {
			if (this.socket.readyState !== ScriptedSocket.CONNECTING) return;
			this.socket.readyState = ScriptedSocket.OPEN;
			this.socket.protocol = protocol;
			this.socket.fire("open");
		});
	}

	/** Sends a frame. */
	send(frame: Frame): void {
		this.sendText(JSON.stringify(frame));
	}

	/** Sends a message that may be no frame. */
	sendText(data: unknown): void {
		if (this.#gone) return;
		this.#toPage(() => {
			if (this.socket.readyState === ScriptedSocket.OPEN) this.socket.fire("message", { data });
		});
	}

	/** Closes it with a code. */
	close(code: number, reason = ""): void {
		if (this.#gone) return;
		this.#end();
		this.#toPage(() => {
			if (this.socket.readyState === ScriptedSocket.OPEN) this.socket.readyState = ScriptedSocket.CLOSING;
			this.#host.later(this.#host.closingMs, () => this.#closeEvent(code, reason, true));
		});
	}

	/** Cuts the line, or refuses the handshake: the page hears 1006. */
	drop(): void {
		if (this.#gone) return;
		this.#end();
		this.#toPage(() => this.#closeEvent(1006, "", false));
	}

	/** As a browser where a policy forbids the address: it reports an error, and never that it closed (A9). */
	failSilently(): void {
		this.#end();
		this.socket.readyState = ScriptedSocket.CLOSED;
		this.socket.fire("error");
	}

	/** Frames of one type that the page sent. */
	of(type: string): Frame[] {
		return this.received.filter((frame) => frame.type === type);
	}

	/** The page sends. */
	carry(data: unknown): void {
		const frame = JSON.parse(String(data)) as Frame;
		this.#toServer(() => {
			if (this.dead || this.#gone) return;
			this.received.push(frame);
			this.onFrame(frame);
		});
	}

	/** The page closes. */
	left(opened: boolean, code: number, reason: string): void {
		this.closedWith = code;
		this.closeReason = reason;
		if (this.dead) {
			this.#host.later(CLOSE_TIMEOUT_MS, () => this.#closeEvent(1006, "", false));
			return;
		}
		this.#toServer(() => {
			this.#end();
			this.#host.later(this.#host.latency, () => (opened ? this.#closeEvent(code, reason, true) : this.#closeEvent(1006, "", false)));
		});
	}

	#end(): void {
		if (this.#gone) return;
		this.#gone = true;
		this.onGone();
	}

	#toServer(run: () => void): void {
		this.#atServer = Math.max(this.#atServer, this.#host.now + this.#host.latency);
		this.#host.later(this.#atServer - this.#host.now, run);
	}

	#toPage(run: () => void): void {
		this.#atPage = Math.max(this.#atPage, this.#host.now + this.#host.latency);
		this.#host.later(this.#atPage - this.#host.now, () => {
			if (!this.dead) run();
		});
	}

	#closeEvent(code: number, reason: string, wasClean: boolean): void {
		if (this.socket.readyState === ScriptedSocket.CLOSED) return;
		const failed = this.socket.readyState === ScriptedSocket.CONNECTING || code === 1006;
		this.socket.readyState = ScriptedSocket.CLOSED;
		if (failed) this.socket.fire("error");
		this.socket.fire("close", { code, reason, wasClean });
	}
}
