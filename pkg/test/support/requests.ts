/** Answers `replay` (section 6). */
import type { Session } from "./session.js";
import type { Frame } from "./socket.js";
import { isInteger } from "./values.js";

export class Requests {
	readonly #session: Session;
	readonly #used = new Set<number>();

	constructor(session: Session) {
		this.#session = session;
	}

	replay(frame: Frame): void {
		const session = this.#session;
		const { req, ch, from, to } = frame;
		if (!isInteger(req, 0) || !isInteger(ch, 1) || !isInteger(from, 1) || !isInteger(to, 1) || from > to) return session.broken("RPL-1: a malformed replay");
		if (this.#used.has(req)) return session.broken(`RPL-1: the request ${req} was used before`);
		this.#used.add(req);
		if (to - from + 1 > session.window.events)
			return session.send({ type: "error", code: "too_many_requests", message: "more than the window", retryable: true, req });
		const sub = session.subs.get(ch);
		if (sub === undefined) return session.send({ type: "replayEnd", req, to: from - 1, oldest: 1 });
		const { log } = sub;
		const { batch, replayPage } = session.server;
		const end = Math.min(to, log.head, from + replayPage - 1);
		let last = from - 1;
		for (let first = Math.max(from, log.oldest); first <= end; first = last + 1) {
			last = Math.min(end, first + batch - 1);
			session.sendEvents(ch, first, log.life.events.slice(first - 1, last));
		}
		sub.sent = Math.max(sub.sent, last);
		session.send({ type: "replayEnd", req, to: last, oldest: log.oldest });
	}
}
