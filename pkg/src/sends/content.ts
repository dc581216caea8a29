/** What a message may hold: copied and checked where the caller reads the error. */
import { AgentwireError, describe } from "../shared/errors.js";

/** A message of the user. */
export interface UserMessageContent {
	/** May be left out. */
	readonly type?: "user_message";
	/** At least one character. */
	readonly content: string;
	readonly references?: readonly unknown[];
	readonly metadata?: Readonly<Record<string, unknown>>;
}

/** A message of the user, or any other JSON object with a `type`, stored as it is. */
export type MessageContent = UserMessageContent | { readonly type: string; readonly [field: string]: unknown };

/** What `C` must be beside a {@link MessageContent}: a message of the user has its own fields and no other. */
export type Spelt<C> = (C extends { readonly type: infer T } ? T : "user_message") extends "user_message"
	? UserMessageContent & Readonly<Record<Exclude<keyof C, keyof UserMessageContent>, never>>
	: unknown;

/** Levels of lists and objects in a frame (GEN-8). */
const MAX_DEPTH = 100;

/** What it is to carry a body: the frame is one level of its own. */
const MAX_BODY_DEPTH: number = MAX_DEPTH - 1;

/** A message as it is sent: `type` filled in, and checked. */
export function snapshot(given: unknown): Readonly<Record<string, unknown>> {
	const { type = "user_message", ...rest } = copyOf("message", given);
	if (typeof type !== "string" || type === "") throw new AgentwireError("invalid_message", "the type of the message must be a text of at least one character");
	const message: Readonly<Record<string, unknown>> = { type, ...rest };
	const { content } = message as { content?: unknown };
	if (type === "user_message" && (typeof content !== "string" || content === "")) {
		throw new AgentwireError("invalid_message", "the content of a user_message must be a text of at least one character");
	}
	return message;
}

/** A copy that later changes by the caller do not reach: the same id must always carry the same body (SND-2). */
export function copyOf(what: string, given: unknown): Readonly<Record<string, unknown>> {
	let copy: unknown;
	try {
		copy = JSON.parse(JSON.stringify(given) ?? "null");
	} catch (cause) {
		throw new AgentwireError("invalid_message", `the ${what} cannot be written as JSON: ${describe(cause)}`, { cause });
	}
	if (typeof copy !== "object" || copy === null || Array.isArray(copy)) throw new AgentwireError("invalid_message", `the ${what} must be an object`);
	if (isDeeper(copy, MAX_BODY_DEPTH)) {
		throw new AgentwireError(
			"invalid_message",
			`the ${what} is nested deeper than ${MAX_BODY_DEPTH} levels: a frame has at most ${MAX_DEPTH}, and is one itself`,
		);
	}
	return copy as Readonly<Record<string, unknown>>;
}

/** Do two values of JSON say the same? The order of the fields of an object has no meaning. */
export function isSameJson(one: unknown, other: unknown): boolean {
	if (one === other) return true;
	if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return false;
	if (Array.isArray(one) !== Array.isArray(other)) return false;
	const [left, right] = [one as Readonly<Record<string, unknown>>, other as Readonly<Record<string, unknown>>];
	const keys = Object.keys(left);
	return keys.length === Object.keys(right).length && keys.every((key) => Object.hasOwn(right, key) && isSameJson(left[key], right[key]));
}

/** Are lists and objects nested in more than `levels` levels? */
function isDeeper(value: unknown, levels: number): boolean {
	if (typeof value !== "object" || value === null) return false;
	return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1));
}
