/** What the fake server stores: threads, producers and runs, as docs/HTTP.md says. It outlives a restart of the fake. */
import { readFileSync } from "node:fs";

export type Fields = Readonly<Record<string, unknown>>;
export type StoredEvent = Fields & { readonly type: string; readonly runId?: string };

export class Refused extends Error {
	readonly status: number;
	readonly body: Fields;
	constructor(status: number, code: string, more: Fields = {}) {
		super(code);
		this.status = status;
		this.body = { code, message: `the fake server says ${code}`, ...more };
	}
}

interface FakeRun {
	isOpen: boolean;
	isCancelled: boolean;
	readonly signals: Fields[];
	readonly approvals: Set<unknown>;
}

export interface FakeThread {
	readonly events: StoredEvent[];
	readonly producers: Map<string, number>;
	readonly runs: Map<string, FakeRun>;
	/** Messages that were edited or withdrawn: claims of them are outdated. */
	readonly outdated: Set<unknown>;
}

const ENDS = new Set(["agent_completed", "agent_cancelled", "agent_died"]);
const required = requiredFields();

export class Store {
	readonly threads: Map<string, FakeThread> = new Map();

	thread(key: string): FakeThread {
		const known = this.threads.get(key) ?? { events: [], producers: new Map(), runs: new Map(), outdated: new Set() };
		this.threads.set(key, known);
		return known;
	}

	run(key: string, runId: string): FakeRun {
		const run = this.thread(key).runs.get(runId);
		if (run === undefined) throw new Refused(404, "not_found");
		return run;
	}

	eventsOf(key: string, runId: string): readonly StoredEvent[] {
		return this.thread(key).events.filter((event) => event.runId === runId);
	}

	/** Writes a batch whole, or throws. */
	publish(key: string, body: Fields): Fields {
		const thread = this.thread(key);
		const events = body["events"] as readonly StoredEvent[];
		const producer = body["producer"] as { readonly id: string; readonly seq: number } | undefined;
		if (!Array.isArray(events) || events.length === 0 || events.length > 1_000) throw new Refused(400, "bad_request");
		const known = producer === undefined ? 0 : (thread.producers.get(producer.id) ?? 0);
		const skip = producer === undefined ? 0 : Math.min(events.length, known + 1 - producer.seq);
		if (skip < 0) throw new Refused(409, "producer_gap", { expected: known + 1 });
		const fresh = events.slice(skip);
		for (const [place, event] of fresh.entries()) check(thread, event, place + skip);
		const claim = body["claim"] as { readonly sendId: string } | undefined;
		if (fresh.length > 0 && claim !== undefined && thread.outdated.has(claim.sendId)) throw new Refused(409, "outdated");
		for (const event of fresh) apply(thread, event);
		if (producer !== undefined && fresh.length > 0) thread.producers.set(producer.id, known + fresh.length);
		const ids = [...new Set(events.map(({ runId }) => runId))];
		return {
			epoch: "e-1",
			offset: thread.events.length,
			seq: producer === undefined ? null : Math.max(known, producer.seq - 1 + events.length),
			applied: fresh.length,
			repeated: skip,
			cancelled: ids.filter((id) => id !== undefined && thread.runs.get(id)?.isOpen === true && thread.runs.get(id)?.isCancelled === true),
		};
	}
}

function check(thread: FakeThread, event: StoredEvent, index: number): void {
	const missing = (required.get(event.type) ?? []).find((name) => event[name] === undefined);
	const progress = event["progress"];
	if (missing !== undefined || (typeof progress === "number" && progress > 100)) throw new Refused(422, "invalid_event", { index, missing });
	const run = thread.runs.get(event.runId ?? "");
	if (run !== undefined && !run.isOpen) throw new Refused(409, "run_over");
	if (event.type === "approval_requested" && run?.approvals.has(event["approvalId"])) throw new Refused(409, "approval_conflict");
}

function apply(thread: FakeThread, event: StoredEvent): void {
	thread.events.push(event);
	if (event.runId === undefined) return;
	const run = thread.runs.get(event.runId) ?? { isOpen: true, isCancelled: false, signals: [], approvals: new Set() };
	thread.runs.set(event.runId, run);
	if (event.type === "approval_requested") run.approvals.add(event["approvalId"]);
	if (ENDS.has(event.type) || (event.type === "agent_error" && event["recoverable"] !== true)) {
		run.isOpen = false;
		run.signals.push({ type: "over" });
	}
}

/** The required fields of each listed type, from the schema of the repository. `time` is set by the server. */
function requiredFields(): ReadonlyMap<string, readonly string[]> {
	const file = new URL("../../../../../events/schema/events.json", import.meta.url);
	const schema = JSON.parse(readFileSync(file, "utf8")) as {
		readonly $defs: Record<string, { readonly required?: readonly string[]; readonly properties?: { readonly type?: { readonly const?: string } } }>;
	};
	const found = Object.values(schema.$defs).map(
		({ required = [], properties }) => [properties?.type?.const, required.filter((name) => name !== "time")] as const,
	);
	return new Map(found.flatMap(([type, names]) => (type === undefined ? [] : [[type, names] as const])));
}
