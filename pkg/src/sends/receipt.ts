/** The server's answers: receipts, and the errors in them. */
import { AgentwireError } from "../shared/errors.js";
import type { Position } from "../thread/position.js";

/** The server's answer to a message. */
export interface Receipt {
	/** The id of the message. */
	readonly id: string;
	/** `accepted`, or another word of the server that is no refusal. */
	readonly status: string;
	/** Place of the stored event. */
	readonly position: Position | undefined;
	/** Of an approval: what counts, and the user who decided it, if a user did. */
	readonly decision?: string;
	readonly by?: string | undefined;
}

/** The receipt that a frame holds. */
export function receiptOf(id: string, frame: object): Receipt {
	const { status, position, decision, by } = frame as { status?: unknown; position?: Position; decision?: string; by?: string };
	const receipt = { id, status: typeof status === "string" ? status : "accepted", position };
	return decision === undefined ? receipt : { ...receipt, decision, by };
}

/** The error in a receipt that refuses. */
export function refusalOf(frame: object | undefined): AgentwireError | undefined {
	if (frame === undefined || !("status" in frame) || frame.status !== "rejected") return undefined;
	return errorOf("error" in frame ? frame.error : undefined, "internal", "the server refused the message");
}

/** Makes an error of an `error` frame or object of the server (ERR-1). */
export function errorOf(frame: unknown, code: string, message: string): AgentwireError {
	const given = (typeof frame === "object" && frame !== null ? frame : {}) as Readonly<Record<string, unknown>>;
	return new AgentwireError(textOr(given["code"], code), textOr(given["message"], message), {
		retryable: typeof given["retryable"] === "boolean" ? given["retryable"] : undefined,
		remediation: typeof given["remediation"] === "string" ? given["remediation"] : undefined,
	});
}

function textOr(value: unknown, fallback: string): string {
	return typeof value === "string" && value !== "" ? value : fallback;
}
