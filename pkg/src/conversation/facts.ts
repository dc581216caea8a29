/** What a thread says beside its events: where it is, what is lost, and which runs are open. */
import type { Gap, Resumed } from "../thread/facts.js";
import type { Position } from "../thread/position.js";
import type { Draft } from "./draft.js";
import type { Run } from "./model.js";
import { settle } from "./runs.js";

/** Former epochs that are remembered, so that a fact of one of them changes nothing. */
const MAX_EPOCHS = 16;

/**
 * Moves to the position of an event or a fact. Returns false if the conversation is there already or further: then it came again. A fact
 * that leads nowhere else (`isAbout`) may come at the position.
 */
export function advance(draft: Draft, epoch: string, offset: number, isAbout = false): boolean {
	const { position, formerEpochs } = draft.next;
	const ahead = position?.epoch === epoch ? offset - position.offset : 1;
	if (isAbout && ahead === 0) return true;
	if (ahead <= 0 || formerEpochs.includes(epoch)) {
		draft.next.duplicates += 1;
		return false;
	}
	if (position !== undefined && position.epoch !== epoch) reset(draft, { epoch, offset: offset - 1 }, "epoch");
	draft.next.position = { epoch, offset };
	return true;
}

export function gap(draft: Draft, { from, to, reason, position }: Gap): void {
	draft.begin("gap", from);
	const at = draft.next.position;
	// The remedy is `reset`.
	if (to === undefined) {
		// The same log from its beginning, or another one: a fact that is known already says neither.
		const isNew = at?.epoch === position.epoch ? reason === "ahead" : !draft.next.formerEpochs.includes(position.epoch);
		if (isNew) reset(draft, position, reason);
		else draft.next.duplicates += 1;
		return;
	}
	const first = at?.epoch === position.epoch ? Math.max(from, at.offset + 1) : from;
	if (!advance(draft, position.epoch, position.offset)) return;
	draft.addItem({ kind: "gap", key: `gap@${first}`, offset: first, to, reason });
	for (const runId of draft.lookup.open) {
		const run = draft.run(runId) as Run;
		if (!run.gapped) draft.edit(runId).gapped = true;
		for (const [index, part] of run.parts.entries()) if (part.kind === "message" && part.state === "streaming") draft.changePart(run, index, { gapped: true });
	}
}

/** A run that is open here and not at the server has ended in what was lost (RUN-3). */
export function resumed(draft: Draft, { position, to, openRuns }: Resumed): void {
	draft.begin("resumed", to);
	if (!advance(draft, position.epoch, position.offset, true)) return;
	// The server does not say which runs are open: then nothing is known about them.
	if (openRuns === undefined) return;
	const open = new Set(openRuns);
	for (const runId of draft.lookup.open) {
		if (open.has(runId) || (draft.run(runId) as Run).lastOffset > to) continue;
		const run = draft.edit(runId);
		run.lost = run.gapped ? "gap" : "absent";
		settle(draft, run, "lost", undefined);
	}
}

/** The log begins anew: nothing of what was shown is known to be in it. */
function reset(draft: Draft, position: Position, reason: string): void {
	const { epoch, offset } = position;
	const lostRuns = [...draft.lookup.open];
	const former = draft.next.position?.epoch;
	const formerEpochs = former === undefined || former === epoch ? draft.next.formerEpochs : [...draft.next.formerEpochs, former].slice(-MAX_EPOCHS);
	draft.clear({ kind: "reset", key: `reset@${epoch}/${offset}`, offset, epoch, reason, lostRuns });
	draft.next.formerEpochs = formerEpochs;
	draft.next.position = position;
}
