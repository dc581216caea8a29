/** Applies what pages send (section 8). */
import type { Applied, ModelServer } from "./server.js";
import type { Session } from "./session.js";
import type { Frame } from "./socket.js";
import { canonical, isObject, isText, sizeOf } from "./values.js";

/** What it keeps longer than it promises (SND-5), in milliseconds. */
const GRACE_MS = 600_000;

export class Sends {
	readonly #session: Session;
	/** Of each stream, the sends that must come again first (SND-9). */
	readonly #putOff = new Map<string, string[]>();

	constructor(session: Session) {
		this.#session = session;
	}

	get #server(): ModelServer {
		return this.#session.server;
	}

	take(frame: Frame): void {
		const { id, stream } = frame;
		if (!isText(id) || !isText(stream)) return this.#session.broken(`SND-1: a malformed ${frame.type}`);
		const waiting = this.#putOff.get(stream) ?? [];
		this.#putOff.set(stream, waiting);
		if (this.#server.overloaded > 0) {
			this.#server.overloaded -= 1;
			return this.#delay(id, stream, waiting, "overloaded");
		}
		if (waiting.length > 0 && waiting[0] !== id) return this.#delay(id, stream, waiting, "unavailable");
		if (waiting[0] === id) waiting.shift();
		const receipt = this.#apply(frame, id, stream);
		if (!this.#server.withholdReceipts) this.#session.send({ type: "receipt", id, stream, ...receipt });
	}

	#delay(id: string, stream: string, waiting: string[], code: string): void {
		if (!waiting.includes(id)) waiting.push(id);
		this.#session.send({ type: "receipt", id, stream, ...refusal(code, true) });
	}

	#apply(frame: Frame, id: string, stream: string): Readonly<Record<string, unknown>> {
		if (this.#server.forbidden.delete(id)) return refusal("forbidden", false);
		if (frame.type === "cancel") return this.#cancel(String(frame["runId"]), stream);
		if (frame.type === "approve") return this.#approve(frame, stream);
		const { message } = frame;
		if (!isObject(message) || !isText(message["type"])) return refusal("invalid_message", false);
		const server = this.#server;
		const subject = this.#session.subject ?? "";
		const body = canonical(message);
		const remembered = (known: Applied): boolean => server.world.now - known.at <= server.sendHorizonMs + GRACE_MS;
		const known = server.applied.find((entry) => entry.id === id && entry.stream === stream && entry.subject === subject && remembered(entry));
		if (known !== undefined) return known.body === body ? { status: "accepted", position: known.position } : refusal("conflict", false);
		const log = server.log(stream);
		const position = { epoch: log.epoch, offset: log.head + 1 };
		server.applied.push({ subject, stream, id, body, position, at: server.world.now });
		server.append(stream, { ...message, sendId: id, user: subject });
		return { status: "accepted", position };
	}

	#cancel(runId: string, stream: string): Readonly<Record<string, unknown>> {
		const run = this.#server.log(stream).run(runId);
		if (run === "unknown") return { status: "unknown_run" };
		if (run === "ended") return { status: "already_finished" };
		this.#server.append(stream, { type: "agent_cancelled", runId });
		return { status: "cancelled" };
	}

	#approve(frame: Frame, stream: string): Readonly<Record<string, unknown>> {
		const [runId, approvalId, decision, by] = [String(frame["runId"]), String(frame["approvalId"]), frame["decision"], this.#session.subject];
		if (decision !== "approved" && decision !== "denied") return refusal("bad_frame", false);
		const approval = this.#server.log(stream).approval(runId, approvalId);
		if (approval === "unknown") return { status: "unknown_approval" };
		if (approval === "run_over") return { status: approval };
		if (approval !== "open") return { status: "already_resolved", decision: approval["decision"], by: approval["user"] };
		this.#server.append(stream, { type: "approval_resolved", runId, approvalId, decision, user: by });
		const { epoch, head } = this.#server.log(stream);
		return { status: "accepted", position: { epoch, offset: head }, decision, by };
	}

	/** SIG-1: passed to the other connections that follow the stream. */
	signal(frame: Frame): void {
		const { stream, signal } = frame;
		if (!isText(stream) || !isObject(signal) || !isText(signal["type"])) return this.#session.broken("SIG-1: a malformed signal");
		if (sizeOf(signal) > 4_096)
			return this.#session.send({ type: "error", code: "message_too_large", message: "a signal has at most 4,096 bytes", retryable: false });
		for (const session of this.#server.sessions) {
			if (session === this.#session || !session.isWelcomed || session.sub(stream) === undefined) continue;
			session.send({ type: "signal", stream, from: this.#session.subject, signal, expiresInMs: 5_000 });
		}
	}
}

function refusal(code: string, retryable: boolean): Readonly<Record<string, unknown>> {
	return { status: "rejected", error: { code, message: `refused: ${code}`, retryable } };
}
