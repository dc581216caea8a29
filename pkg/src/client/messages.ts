/** What a server says outside of streams: `signal` and `notice` frames (SIG-1, NTC-1). */
import type { Notice, Signal } from "./state.js";

/** What a parsed frame says; `undefined` for one that is neither. */
export function messageOf(
	frame: object,
): { readonly type: "signal"; readonly signal: Signal } | { readonly type: "notice"; readonly notice: Notice } | undefined {
	const { type, ...fields } = frame as { readonly type?: unknown };
	if (type === "notice") return { type, notice: fields as Notice };
	if (type !== "signal") return undefined;
	const { stream, from, signal, expiresInMs } = fields as { stream: string; from?: string; signal: Signal["signal"]; expiresInMs?: number };
	return { type, signal: { thread: stream, from, signal, expiresInMs } };
}
