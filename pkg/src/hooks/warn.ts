/** Warnings for the developer. */

declare const process: { readonly env: { readonly NODE_ENV?: string } };

const warned = new Set<string>();

/** Warns once for each text, and never in production. */
export function warnOnce(text: string): void {
	try {
		// Bundlers put a text in its place; without one, a browser has no `process`.
		if (process.env.NODE_ENV === "production" || warned.has(text)) return;
	} catch {
		return;
	}
	warned.add(text);
	console.warn(`agentwire: ${text}`);
}
