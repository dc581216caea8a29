/**
 * Counts the calls between JavaScript and wasm, in both directions. It takes the place of `WebAssembly.Instance`, so it has to be
 * imported before anything that makes an instance.
 */

/** A call that crossed the border. */
export interface Crossing {
	readonly into: "wasm" | "js";
	readonly args: readonly unknown[];
}

const crossings: Crossing[] = [];

/** The crossings since the last call. */
export function takeCrossings(): Crossing[] {
	return crossings.splice(0);
}

function counted<T>(into: Crossing["into"], member: T): T {
	if (typeof member !== "function") return member;
	return ((...args: unknown[]): unknown => {
		crossings.push({ into, args });
		return Reflect.apply(member, undefined, args);
	}) as T;
}

function each<T extends object>(members: T, change: (member: T[keyof T]) => T[keyof T]): T {
	return Object.fromEntries(Object.entries(members).map(([name, member]) => [name, change(member)])) as T;
}

const Real = WebAssembly.Instance;

class Counting {
	readonly exports: WebAssembly.Exports;

	constructor(module: WebAssembly.Module, imports: WebAssembly.Imports = {}) {
		const inner = each(imports, (members) => each(members, (member) => counted("js", member)));
		this.exports = each(new Real(module, inner).exports, (member) => counted("wasm", member));
	}
}

WebAssembly.Instance = Counting as unknown as typeof Real;
