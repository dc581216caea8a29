/** The form of an approval: what a person may change or has to fill in, and what becomes of it. */
import type { ApprovalPart } from "agentwire/conversation";
import { canonical } from "./canonical.ts";

/** One field of a form. */
export interface Field {
	readonly name: string;
	readonly label: string;
	readonly help: string | undefined;
	readonly kind: "text" | "number" | "flag";
	readonly isRequired: boolean;
	/** Bounds of a number. */
	readonly least: number | undefined;
	readonly most: number | undefined;
	readonly isWhole: boolean;
}

/** What a form holds: the texts and flags of its fields by their names, or one JSON text. */
export type Filled = Readonly<Record<string, string | boolean>>;

export interface Form {
	/** `undefined`: the value is no list of simple fields, and is edited as JSON. */
	readonly fields: readonly Field[] | undefined;
	readonly filled: Filled;
}

/** What a form comes to, or what is wrong with its fields. */
export type Reading = { readonly value: unknown; readonly wrong?: undefined } | { readonly wrong: Readonly<Record<string, string>> };

/** Name of the only field of a form that is edited as JSON. */
export const JSON_FIELD = "json";

type Fields = Readonly<Record<string, unknown>>;

/** The form of an approval; `undefined` if there is nothing to fill in. */
export function formOf({ editable, schema, args }: Pick<ApprovalPart, "editable" | "schema" | "args">): Form | undefined {
	if (!editable && schema === undefined) return undefined;
	const from = editable ? args : {};
	const fields = fieldsOf(isObject(schema) ? schema : {}, from);
	if (fields === undefined) return { fields, filled: { [JSON_FIELD]: JSON.stringify(from ?? null, undefined, 2) } };
	const values = isObject(from) ? from : {};
	return { fields, filled: Object.fromEntries(fields.map(({ name, kind }) => [name, shown(values[name], kind)])) };
}

/** Reads a form. What is empty and not required is left out. */
export function read(fields: readonly Field[] | undefined, filled: Filled): Reading {
	if (fields === undefined) {
		try {
			return { value: JSON.parse(String(filled[JSON_FIELD])) };
		} catch {
			return { wrong: { [JSON_FIELD]: "This is not JSON." } };
		}
	}
	const value: Record<string, unknown> = {};
	const wrong: Record<string, string> = {};
	for (const field of fields) {
		const given = filled[field.name] ?? "";
		if (typeof given === "boolean") value[field.name] = given;
		else if (given.trim() === "") {
			if (field.isRequired) wrong[field.name] = "This is needed.";
		} else if (field.kind === "text") value[field.name] = given;
		else {
			const number = Number(given);
			const trouble = troubleWith(number, field);
			if (trouble === undefined) value[field.name] = number;
			else wrong[field.name] = trouble;
		}
	}
	return Object.keys(wrong).length > 0 ? { wrong } : { value };
}

/** The answer that a filled form makes. Arguments that were not changed are not sent. */
export function approved(
	{ editable, args }: Pick<ApprovalPart, "editable" | "args">,
	value: unknown,
): { readonly decision: "approved"; readonly editedArgs?: unknown; readonly payload?: unknown } {
	if (!editable) return { decision: "approved", payload: value };
	return isSame(args, value) ? { decision: "approved" } : { decision: "approved", editedArgs: value };
}

function fieldsOf(schema: Fields, from: unknown): readonly Field[] | undefined {
	const properties = isObject(schema["properties"]) ? schema["properties"] : {};
	if (!isObject(from)) return undefined;
	const required: readonly string[] = Array.isArray(schema["required"]) ? schema["required"].filter((name) => typeof name === "string") : [];
	// JSON keeps no order of keys: what is required comes first, as listed.
	const known = Object.keys({ ...properties, ...from });
	const names = [...required.filter((name) => known.includes(name)), ...known.filter((name) => !required.includes(name))];
	const fields = names.map((name) => fieldOf(name, isObject(properties[name]) ? properties[name] : {}, from[name], required.includes(name)));
	return names.length > 0 && fields.every((field) => field !== undefined) ? fields : undefined;
}

function fieldOf(name: string, schema: Fields, value: unknown, isRequired: boolean): Field | undefined {
	const kind = KINDS[typeof schema["type"] === "string" ? schema["type"] : typeof value];
	if (kind === undefined || !(value === undefined || KINDS[typeof value] === kind)) return undefined;
	const text = (key: string): string | undefined => (typeof schema[key] === "string" ? schema[key] : undefined);
	const number = (key: string): number | undefined => (typeof schema[key] === "number" ? schema[key] : undefined);
	return {
		name,
		label: text("title") ?? name,
		help: text("description"),
		kind,
		isRequired,
		least: number("minimum"),
		most: number("maximum"),
		isWhole: schema["type"] === "integer",
	};
}

const KINDS: Readonly<Record<string, Field["kind"] | undefined>> = { string: "text", number: "number", integer: "number", boolean: "flag" };

function shown(value: unknown, kind: Field["kind"]): string | boolean {
	if (kind === "flag") return value === true;
	return value === undefined ? "" : String(value);
}

function troubleWith(number: number, { isWhole, least = Number.NEGATIVE_INFINITY, most = Number.POSITIVE_INFINITY }: Field): string | undefined {
	if (!Number.isFinite(number) || (isWhole && !Number.isInteger(number))) return isWhole ? "This must be a whole number." : "This must be a number.";
	if (number < least) return `This must be at least ${least}.`;
	return number > most ? `This must be at most ${most}.` : undefined;
}

function isSame(one: unknown, other: unknown): boolean {
	return canonical({ value: one ?? null }) === canonical({ value: other ?? null });
}

function isObject(value: unknown): value is Fields {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}
