/** The adapter with the real AI SDK and its model for tests. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { stepCountIs, streamText, tool } from "ai";
import { MockLanguageModelV4, simulateReadableStream } from "ai/test";
import { z } from "zod";
import { type Streamed, streamToRun } from "../src/ai-sdk.js";
import { isBridgeError } from "../src/index.js";
import { KEY } from "./support/delivery.js";
import { event, fake } from "./support/until.js";

type Answer = Awaited<ReturnType<MockLanguageModelV4["doStream"]>>;
type Part = Answer["stream"] extends ReadableStream<infer P> ? P : never;

const usage = { inputTokens: { total: 3, noCache: 3, cacheRead: 0, cacheWrite: 0 }, outputTokens: { total: 5, text: 5, reasoning: 0 } };
const finish = (unified: "stop" | "tool-calls"): Part => ({ type: "finish", finishReason: { unified, raw: unified }, usage });
const text = (...deltas: readonly string[]): readonly Part[] => [
	{ type: "text-start", id: "0" },
	...deltas.map((delta): Part => ({ type: "text-delta", id: "0", delta })),
	{ type: "text-end", id: "0" },
];
const stream = (...chunks: readonly Part[]): Answer => ({
	stream: simulateReadableStream({ chunks: [...chunks], initialDelayInMs: null, chunkDelayInMs: null }),
});

/** A model that gives one answer per step. */
function model(...steps: readonly Answer[]): MockLanguageModelV4 {
	let step = 0;
	return new MockLanguageModelV4({ doStream: async () => steps[step++] ?? assert.fail("there is no further step") });
}

test("text, reasoning and tools of several steps become messages, thoughts and tool calls", async (t) => {
	const server = await fake(t);
	const steps = model(
		stream(
			{ type: "reasoning-start", id: "r" },
			{ type: "reasoning-delta", id: "r", delta: "I need the wea" },
			{ type: "reasoning-delta", id: "r", delta: "ther.\nSo I ask" },
			{ type: "reasoning-end", id: "r" },
			...text("Let me ", "look."),
			{ type: "tool-input-start", id: "c1", toolName: "weather" },
			{ type: "tool-input-delta", id: "c1", delta: '{"city":' },
			{ type: "tool-input-delta", id: "c1", delta: '"Bonn"}' },
			{ type: "tool-input-end", id: "c1" },
			{ type: "tool-call", toolCallId: "c1", toolName: "weather", input: '{"city":"Bonn"}' },
			{ type: "tool-call", toolCallId: "c2", toolName: "broken", input: "{}" },
			finish("tool-calls"),
		),
		stream(...text("It rains."), finish("stop")),
	);
	const streamed = await server.bridge().run(KEY, { agent: "a", runId: "r1" }, async (run): Promise<Streamed> => {
		const result = streamText({
			model: steps,
			prompt: "How is the weather?",
			abortSignal: run.signal,
			stopWhen: stepCountIs(3),
			tools: {
				weather: tool({ inputSchema: z.object({ city: z.string() }), execute: async ({ city }) => `rain in ${city}` }),
				broken: tool({
					inputSchema: z.object({}),
					execute: async (): Promise<string> => {
						throw new Error("out of order");
					},
				}),
			},
		});
		const done = await streamToRun(run, result);
		await run.complete({ usage: done.usage });
		return done;
	});
	assert.equal(streamed.text, "Let me look.It rains.");
	assert.equal(streamed.finishReason, "stop");
	const events = server.store.eventsOf(KEY, "r1");
	const ofType = (type: string): readonly unknown[] => events.filter((one) => one.type === type);
	assert.deepEqual(
		events.filter(({ type }) => type === "agent_thinking").map((thought) => thought["text"]),
		["I need the weather.", "So I ask"],
	);
	const messages = events.filter(({ type }) => type === "message_completed");
	assert.deepEqual(
		messages.map(({ content }) => content),
		["Let me look.", "It rains."],
	);
	assert.notEqual(messages[0]?.["messageId"], messages[1]?.["messageId"]);
	assert.equal(ofType("message_delta").length, 3);
	assert.deepEqual(
		events.filter(({ type }) => type === "tool_args_delta").map((delta) => delta["text"]),
		['{"city":', '"Bonn"}'],
	);
	const calls = new Map(events.filter(({ type }) => type === "tool_executing").map((call) => [call["toolCallId"], call]));
	assert.deepEqual(calls.get("c1")?.["args"], { city: "Bonn" });
	assert.equal(calls.get("c2")?.["toolName"], "broken");
	const results = new Map(events.filter(({ type }) => type === "tool_completed").map((call) => [call["toolCallId"], call]));
	assert.equal(results.get("c1")?.["result"], "rain in Bonn");
	assert.equal(results.get("c2")?.["success"], false);
	assert.equal(results.get("c2")?.["error"], "out of order");
	assert.deepEqual(events.at(-1)?.["usage"], { inputTokens: 6, outputTokens: 10, totalTokens: 16 });
	assert.equal(ofType("agent_completed").length, 1);
});

test("an error of the model interrupts the message and ends the run with agent_error", async (t) => {
	const server = await fake(t);
	const broken = model(
		stream({ type: "text-start", id: "0" }, { type: "text-delta", id: "0", delta: "Half" }, { type: "error", error: new Error("model is away") }),
	);
	const running = server.bridge().run(KEY, { agent: "a", runId: "r1" }, async (run) => {
		await streamToRun(run, streamText({ model: broken, prompt: "?", maxRetries: 0, onError: () => {} }));
	});
	await assert.rejects(running, /model is away/);
	const events = server.store.eventsOf(KEY, "r1").map(({ type, content, interrupted, message }) => [type, content ?? message, interrupted]);
	assert.deepEqual(events.slice(2), [
		["message_completed", "Half", true],
		["agent_error", "model is away", undefined],
	]);
});

test("a cancel stops the model, interrupts the message and ends the run as cancelled", async (t) => {
	const server = await fake(t);
	const endless = new MockLanguageModelV4({
		doStream: async ({ abortSignal }) => ({
			stream: new ReadableStream<Part>({
				start(controller) {
					controller.enqueue({ type: "text-start", id: "0" });
					controller.enqueue({ type: "text-delta", id: "0", delta: "Once" });
					abortSignal?.addEventListener("abort", () => controller.error(abortSignal.reason), { once: true });
				},
			}),
		}),
	});
	const running = server.bridge().run(KEY, { agent: "a", runId: "r1" }, async (run) => {
		await streamToRun(run, streamText({ model: endless, prompt: "?", abortSignal: run.signal, onError: () => {} }));
	});
	await event(server, "answered", () => server.store.thread(KEY).events.length === 2);
	server.signal(KEY, "r1", { type: "cancelled" });
	await assert.rejects(running, (error) => isBridgeError(error, "cancelled"));
	const events = server.store.eventsOf(KEY, "r1").map(({ type, interrupted }) => [type, interrupted]);
	assert.deepEqual(events.slice(2), [
		["message_completed", true],
		["agent_cancelled", undefined],
	]);
});
