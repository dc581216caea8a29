/** Silence is an overlay: it is shown, ends nothing, and is gone when something comes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type StallOptions, watchStalls } from "../src/conversation/stalls.js";
import { conversation, type Stall } from "../src/conversation.js";
import { type Rig, rig } from "./support/rig.js";
import { inWorld, type World } from "./support/world.js";

/** A conversation whose changes of stalls are noted, by the time in milliseconds. */
function watch(world: World, { client }: Rig, options: StallOptions = {}): string[] {
	const noted: string[] = [];
	const chat = conversation(client.thread("t"), { stalls: watchStalls({ client, runMs: 1_000, toolMs: 3_000, socketMs: 2_000, ...options }) });
	let former = "";
	chat.subscribe(() => {
		const { stalls, conversation: folded } = chat.getSnapshot();
		const text = stalls.map(stallText).join(" ");
		if (text !== former) noted.push(`${world.now}: ${text}${stalls.length > 0 ? ` (${folded.openRuns} open)` : ""}`);
		former = text;
		for (const { since } of stalls) assert.ok(since <= world.wallNow && since > world.wallNow - 60_000);
	});
	world.atEnd(() => chat.dispose());
	return noted;
}

function stallText(stall: Stall): string {
	if (stall.kind === "socket") return "socket";
	return stall.kind === "run" ? `run ${stall.runId}` : `tool ${stall.runId} ${stall.key}`;
}

const started = { type: "agent_started", runId: "r1", agent: "a" };
const thinking = { type: "agent_thinking", runId: "r1", text: "Hm" };

test(
	"a run that is silent stalls, and is as before when it moves",
	inWorld(async (world) => {
		const made = rig(world);
		const noted = watch(world, made);
		await made.connected();
		made.server.append("t", started);
		await world.advance(999);
		assert.deepEqual(noted, []);
		await world.advance(1);
		assert.deepEqual(noted, ["1000: run r1 (1 open)"]);
		await world.advance(5_000);
		made.server.append("t", thinking);
		await world.advance(1_100);
		assert.deepEqual(noted.slice(1), ["6000: ", "7000: run r1 (1 open)"]);
		made.server.append("t", { type: "agent_completed", runId: "r1" });
		await world.advance(60_000);
		assert.deepEqual(noted.slice(3), ["7100: "]);
	}),
);

test(
	"a run that waits for a tool, a person or a sub-agent does not stall, but its tool may",
	inWorld(async (world) => {
		const made = rig(world);
		const noted = watch(world, made);
		await made.connected();
		made.server.append("t", started, { type: "tool_executing", runId: "r1", toolCallId: "t1", toolName: "n" });
		await world.advance(2_000);
		// What another tool does is nothing new about this one.
		made.server.append("t", { type: "tool_executing", runId: "r1", toolCallId: "t2", toolName: "n", estimatedMs: 10_000 });
		await world.advance(1_000);
		assert.deepEqual(noted, ["3000: tool r1 tool:2 (1 open)"]);
		made.server.append("t", { type: "tool_completed", runId: "r1", toolCallId: "t1", success: true });
		await world.advance(9_000);
		assert.deepEqual(noted.slice(1), ["3000: ", "12000: tool r1 tool:3 (1 open)"]);
		made.server.append("t", { type: "tool_completed", runId: "r1", toolCallId: "t2", success: true });
		made.server.append("t", { type: "approval_requested", runId: "r1", approvalId: "a1", prompt: "?" });
		await world.advance(60_000);
		assert.deepEqual(noted.slice(3), ["12000: "]);
		made.server.append("t", { type: "approval_resolved", runId: "r1", approvalId: "a1", decision: "approved" });
		made.server.append("t", { type: "agent_started", runId: "r2", agent: "a", parentRunId: "r1" });
		await world.advance(1_000);
		assert.deepEqual(noted.slice(4), ["73000: run r2 (2 open)"]);
		// Disposed of with the world, it leaves no timer.
		made.server.append("t", { ...thinking, runId: "r2" });
		await world.settle();
	}),
);

test(
	"without a connection only that stalls, and afterwards time counts anew",
	inWorld(async (world) => {
		const made = rig(world);
		const { server } = made;
		const noted = watch(world, made);
		await made.connected();
		server.append("t", started);
		await world.advance(900);
		server.unreachable = true;
		server.cut();
		await world.advance(2_000);
		assert.deepEqual(noted, ["2900: socket (1 open)"]);
		server.unreachable = false;
		await world.advance(60_000);
		assert.equal(made.client.state.name, "connected");
		assert.match(noted[1] ?? "", /^\d+: $/);
		const back = Number(noted[1]?.split(":")[0]);
		assert.deepEqual(noted.slice(2), [`${back + 1_000}: run r1 (1 open)`]);
	}),
);

test(
	"0 turns a stall off, and options that are none are refused",
	inWorld(async (world) => {
		const made = rig(world);
		const noted = watch(world, made, { runMs: 0, toolMs: 0, socketMs: 0 });
		await made.connected();
		made.server.append("t", started, { type: "tool_executing", runId: "r1", toolCallId: "t1", toolName: "n" });
		await world.advance(600_000);
		made.server.unreachable = true;
		made.server.cut();
		await world.advance(100_000);
		assert.deepEqual(noted, []);
		for (const options of [{ runMs: -1 }, { toolMs: "1" }, { silenceMs: 5 }, { client: 1 }] as object[])
			assert.throws(() => watchStalls(options), { code: "invalid_option" });
	}),
);
