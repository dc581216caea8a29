/** Publishes what `streamText` of the AI SDK (npm `ai`, 5 or newer) generates, as events of a run. */
import { randomUUID } from "node:crypto";
import type { FinishReason, TextStreamPart, ToolSet } from "ai";
import { messageOf } from "./errors.js";
import type { MessageWriter } from "./run/message.js";
import type { Run } from "./run/run.js";
import type { Completion } from "./run/types.js";

export interface StreamOptions {
	/** Whether the model's reasoning is published as thoughts; true by default. */
	readonly reasoning?: boolean;
}

export interface Streamed {
	/** The text of all messages. */
	readonly text: string;
	/** For `run.complete({ usage })`. */
	readonly usage: NonNullable<Completion["usage"]>;
	readonly finishReason: FinishReason | undefined;
}

/**
 * Reads the result to its end. Text becomes messages, reasoning becomes thoughts, tools become tool calls.
 * Give the run's signal to `streamText`, so that a cancel stops the model: `abortSignal: run.signal`. Throws what the model threw.
 */
export async function streamToRun<T extends ToolSet>(
	run: Run,
	result: { readonly fullStream: AsyncIterable<TextStreamPart<T>> },
	options: StreamOptions = {},
): Promise<Streamed> {
	const stream = new RunStream(run, options.reasoning ?? true);
	try {
		for await (const part of result.fullStream) await stream.take(part);
	} catch (error) {
		await stream.interrupt();
		throw error;
	}
	// Without its finish, the model was stopped.
	if (stream.finishReason === undefined) await stream.interrupt();
	run.signal.throwIfAborted();
	return { text: stream.text, usage: stream.usage, finishReason: stream.finishReason };
}

class RunStream {
	text = "";
	usage: Streamed["usage"] = {};
	finishReason: FinishReason | undefined;
	readonly #run: Run;
	readonly #reasoning: boolean;
	readonly #messages: Map<string, MessageWriter> = new Map();
	readonly #thoughts: Map<string, string> = new Map();
	readonly #begun: Map<string, number> = new Map();

	constructor(run: Run, reasoning: boolean) {
		this.#run = run;
		this.#reasoning = reasoning;
	}

	async take<T extends ToolSet>(part: TextStreamPart<T>): Promise<void> {
		switch (part.type) {
			case "text-start":
				// Ids of parts repeat from step to step.
				this.#messages.set(part.id, this.#run.writer(randomUUID()));
				return;
			case "text-delta":
				this.text += part.text;
				return await this.#messages.get(part.id)?.delta(part.text);
			case "text-end":
				await this.#messages.get(part.id)?.complete();
				this.#messages.delete(part.id);
				return;
			case "reasoning-delta":
				return await this.#think(part.id, part.text);
			case "reasoning-end":
				return await this.#think(part.id, "\n");
			case "tool-input-delta":
				return await this.#run.publish({ type: "tool_args_delta", toolCallId: part.id, text: part.delta });
			case "tool-call":
				this.#begun.set(part.toolCallId, performance.now());
				return await this.#run.publish({ type: "tool_executing", toolCallId: part.toolCallId, toolName: part.toolName, args: part.input });
			case "tool-result":
				// A preliminary result is followed by the final one.
				if (part.preliminary === true) return;
				return await this.#completed(part, { success: true, result: part.output });
			case "tool-error":
				return await this.#completed(part, { success: false, error: messageOf(part.error) });
			case "tool-output-denied":
				return await this.#completed(part, { success: false, error: "the call was denied" });
			case "finish": {
				const { inputTokens, outputTokens, totalTokens } = part.totalUsage;
				this.finishReason = part.finishReason;
				this.usage = Object.fromEntries(Object.entries({ inputTokens, outputTokens, totalTokens }).filter(([, count]) => count !== undefined));
				return;
			}
			case "error":
				throw part.error;
			default:
		}
	}

	/** Ends the messages that have no end: their agent stopped. */
	async interrupt(): Promise<void> {
		for (const message of this.#messages.values()) if (!this.#run.isEnded) await message.complete(true);
		this.#messages.clear();
	}

	/** Publishes each whole line: a thought replaces the former one. */
	async #think(id: string, text: string): Promise<void> {
		if (!this.#reasoning) return;
		const lines = ((this.#thoughts.get(id) ?? "") + text).split("\n");
		this.#thoughts.set(id, lines.pop() ?? "");
		for (const line of lines) if (line.trim() !== "") await this.#run.thinking(line.trim());
	}

	async #completed(
		{ toolCallId, toolName }: { readonly toolCallId: string; readonly toolName: string },
		outcome: { readonly success: boolean; readonly result?: unknown; readonly error?: string },
	): Promise<void> {
		const begun = this.#begun.get(toolCallId);
		this.#begun.delete(toolCallId);
		const durationMs = begun === undefined ? {} : { durationMs: Math.round(performance.now() - begun) };
		await this.#run.publish({ type: "tool_completed", toolCallId, toolName, ...outcome, ...durationMs });
	}
}
