/**
 * A document for frameworks that render into one. Import it before them, for its effect: they look for it when they are loaded. happy-dom,
 * because it runs on every Node.js that the package supports; jsdom asks for a newer one.
 */
import { Window } from "happy-dom";

const window = new Window({ url: "https://chat.example.com/" });
Object.assign(globalThis, { window, document: window.document, Document: window.Document, Node: window.Node, Element: window.Element });
for (const name of ["HTMLElement", "SVGElement", "Text", "Comment", "ShadowRoot", "MathMLElement", "HTMLTemplateElement", "HTMLMediaElement"] as const)
	if (Reflect.get(window, name) !== undefined) Reflect.set(globalThis, name, Reflect.get(window, name));
if (globalThis.navigator === undefined)
	Object.defineProperty(globalThis, "navigator", { value: { userAgent: "", onLine: true }, configurable: true, writable: true });
